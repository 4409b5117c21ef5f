"""How many workers run, with `workers="auto"`."""
