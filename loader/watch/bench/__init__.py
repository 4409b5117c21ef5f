"""`loader bench`: the loader alone, the model alone, and both together."""
