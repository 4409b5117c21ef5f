"""How a batch crosses from one process to another: arena and slots, records and channels, counters; files that several processes append to."""
