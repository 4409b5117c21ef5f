"""Samples that are lines of text files, or rows of CSV and JSON lines: where each begins, what is in it, and how many are copied at once."""
