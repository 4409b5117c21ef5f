"""Decoders: from the content of a file, or of a line of text, to arrays, for `ByteFiles` and `TextLines`."""

from loader.data.decode.array_decoders import npy, npz, raw
from loader.data.decode.audio_decoder import audio
from loader.data.decode.decoder import Decoder
from loader.data.decode.image_decoder import image
from loader.data.decode.text_decoder import text
from loader.data.decode.vocabulary import vocabulary

__all__ = ["Decoder", "audio", "image", "npy", "npz", "raw", "text", "vocabulary"]
