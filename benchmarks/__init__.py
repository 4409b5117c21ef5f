"""How fast the loader is, against the bare loop of the same system calls. `make bench`; results in `benchmarks/README.md`."""
