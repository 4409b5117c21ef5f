"""The shapes of samples that differ in size: found out once, from headers where there are some, and remembered."""
