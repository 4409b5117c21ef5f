"""Data that is far away: what a URL is, how objects are listed, and how many of them, or ranges of them, are fetched at a time."""
