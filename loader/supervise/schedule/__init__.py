"""Which worker fills which rows of which slot. Pure: events in, commands out."""
