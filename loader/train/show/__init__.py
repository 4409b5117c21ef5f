"""What a model sees: samples behind all transforms, as a picture with labels, and in words.

`loader.show()` in a notebook and `loader show` on the command line make the same. The samples are made in this process, with the loader's own
settings, beside whatever its workers do. Pillow writes text and files; all else is NumPy.
"""
