"""The memory limit: what is measured, what is decided, what is allowed."""
