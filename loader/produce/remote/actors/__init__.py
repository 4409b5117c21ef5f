"""What runs on other machines: the work of an actor, and what it says of its node before it may do any."""
