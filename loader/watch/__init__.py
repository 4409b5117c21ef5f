"""What runs in the operator's shell: the command line."""
