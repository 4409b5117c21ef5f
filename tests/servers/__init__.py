"""Servers that hold objects, real ones, for tests and benchmarks of data that is far away. The fixtures are in `fixtures.py`.

`s3` and `gcs` are shared by all processes of a test run (`shared.py`, `keeper.py`); a test has buckets of its own in them. A front (`fronts.py`,
`front.py`) is a small HTTP server of one test: it serves a folder, or stands before another server, and adds latency and faults (`faults.py`).
"""
