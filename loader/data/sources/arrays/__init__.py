"""Sources whose samples are rows of arrays, in memory or in mapped files."""
