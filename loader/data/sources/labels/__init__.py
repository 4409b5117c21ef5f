"""Labels and manifests in every form, as arrays with one entry per sample."""
