"""Looking at far data before there are workers: the user's process asks a child, which lists, fetches and writes, and ends with its answer."""
