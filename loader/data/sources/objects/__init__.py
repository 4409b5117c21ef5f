"""Sources whose samples come from an object or a function of the user's."""
