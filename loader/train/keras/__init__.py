"""Keras: its adapter, a file for each framework, and callbacks."""
