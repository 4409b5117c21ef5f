"""All samples of a source written to a few large files, on this machine or at a URL."""
