"""Batches from the worker pool: the trainer's end of it."""
