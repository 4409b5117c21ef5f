"""What runs in the trainer: the `Loader`, the leases on slots, and one file per framework."""
