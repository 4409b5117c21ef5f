"""Transforms of sound: arrays (samples,) or (samples, channels), as `decode.audio` makes them."""
