"""Sources whose samples are files, one file each: which files are meant, and how one becomes a sample."""
