"""One `.npy` file: its header, its bytes, and why it is refused."""
