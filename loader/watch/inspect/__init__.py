"""`loader inspect`: what is at a path, and the script that loads it."""
