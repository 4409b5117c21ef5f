"""Labels in the forms in which people have them, and manifests, as arrays with one entry per sample."""
