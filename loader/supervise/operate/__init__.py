"""The operator's way in: a socket, what may be asked, and the answers."""
