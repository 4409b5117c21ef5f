"""Pipelines of other libraries, taken as they are (`From`). They are recognised without being imported, and none is needed unless one is given."""
