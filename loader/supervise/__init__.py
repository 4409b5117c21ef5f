"""What runs in the supervisor process: it owns every decision."""
