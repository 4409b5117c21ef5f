"""Several scripts read what one pool makes: this loader, and TensorSocket. `make bench-peers BENCH_ARGS=shared`."""
