"""Decoders: from the content of a file, or of a line of text, to arrays, for `ByteFiles` and `TextLines`."""

from typing import TYPE_CHECKING

from loader.lazy_names import lazy_names

if TYPE_CHECKING:
    from loader.data.decode.array_decoders import npy, npz, raw
    from loader.data.decode.audio_decoder import audio
    from loader.data.decode.decoder import Decoder
    from loader.data.decode.image_decoder import image
    from loader.data.decode.text_decoder import text
    from loader.data.decode.vocabularies import vocabulary
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Decoder": "decoder",
            "audio": "audio_decoder",
            "image": "image_decoder",
            "npy": "array_decoders",
            "npz": "array_decoders",
            "raw": "array_decoders",
            "text": "text_decoder",
            "vocabulary": "vocabularies",
        },
    )

__all__ = ["Decoder", "audio", "image", "npy", "npz", "raw", "text", "vocabulary"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
