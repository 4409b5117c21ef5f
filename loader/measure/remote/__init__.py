"""What workers on other machines bring, machine by machine, and what holds them up. Pure."""
