"""Sources whose samples an object or a function of somebody else gives."""
