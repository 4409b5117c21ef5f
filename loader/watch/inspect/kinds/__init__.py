"""What the headers of each kind of data say: one file for each."""
