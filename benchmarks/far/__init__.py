"""Data that are far away: an HTTP server of the tests stands for the store, adds latency and faults, and counts requests."""
