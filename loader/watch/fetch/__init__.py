"""`loader fetch`: bring objects to this machine beforehand, into a cache or as plain files."""
