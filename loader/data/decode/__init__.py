"""Decoders: from the content of a file to arrays, for `ByteFiles`."""

from loader.data.decode.decoder import Decoder

__all__ = ["Decoder"]
