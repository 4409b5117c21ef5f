"""What `gather` is made of: spans on their way, and the thread in which the loop runs that keeps them going."""
