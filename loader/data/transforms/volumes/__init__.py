"""Volumes: arrays (depth, height, width, channels)."""
