"""Samples that are kept as they were made, in files or in memory, so that they are made once."""
