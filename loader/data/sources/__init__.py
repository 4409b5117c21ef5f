"""Where samples come from: files, arrays, objects, and what they are made of."""
