"""One file for each loader, which does every task as its own documentation would have it."""
