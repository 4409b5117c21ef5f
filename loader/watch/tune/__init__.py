"""`loader tune`: worker counts and slots, measured."""
