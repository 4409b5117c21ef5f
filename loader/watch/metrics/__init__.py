"""`loader metrics`: the figures of all loaders of this user, for Prometheus and what understands it."""
