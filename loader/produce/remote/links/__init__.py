"""The connections between the gateway and its actors, by which tickets and rows go. Sockets, and no Ray."""
