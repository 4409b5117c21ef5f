"""Ray: the door to it, and on which of its nodes the next actor is to run."""
