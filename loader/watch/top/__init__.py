"""`loader top`: a loader, live in the terminal."""
