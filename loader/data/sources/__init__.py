"""Where samples come from: files, arrays, objects, and what is made of other sources."""
