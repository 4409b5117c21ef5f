"""Boxes and key points: places in a picture, which move with it."""
