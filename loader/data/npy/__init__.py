"""One `.npy` file: its header, its bytes, and why it is refused. And the arithmetic of bytes that have no header."""
