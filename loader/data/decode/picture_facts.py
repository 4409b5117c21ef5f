"""What the header of a picture says about it, without decoding it."""

from __future__ import annotations

import mmap
from typing import NamedTuple

from loader.data.decode.decoder import Undecodable
from loader.data.decode.image_header import JPEG, PNG, read_header
from loader.data.decode.picture_size import check_size
from loader.data.decode.pillow_pictures import open_file, upright_size
from loader.data.npy.refusals import not_a

_MODES_OF_JPEG = {1: "L", 3: "RGB", 4: "CMYK"}
_MODES_OF_PNG = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_DEPTH, _COLOUR = 24, 25  # places of these bytes in a PNG (its specification, 11.2.2)


class PictureFacts(NamedTuple):
    """What is known of a picture.

    Attributes:
        format: such as `JPEG`.
        mode: Pillow's name for it: `L` is grey, `I;16` grey of 16 bits, `P` a palette.
        height, width: as it stands upright.
    """

    format: str
    mode: str
    height: int
    width: int


def read_facts(path: str) -> PictureFacts:
    """Return what the header of a picture says. JPEG and PNG need no Pillow.

    Raises:
        Undecodable: it is not a picture, or its header says that it can't be decoded.
        OSError: with the path in it.
    """
    with open(path, "rb") as file:
        if not file.read(1):
            raise Undecodable(not_a("a picture", b""))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            facts = _by_first_bytes(view)
        if facts is None:
            file.seek(0)
            with open_file(file) as image:
                facts = PictureFacts(image.format or "", image.mode, *upright_size(image))
    check_size(facts.height, facts.width)
    return facts


def _by_first_bytes(content: memoryview) -> PictureFacts | None:
    header = read_header(content)
    if header is None:
        return None
    if header.kind == JPEG:
        return PictureFacts(JPEG, _MODES_OF_JPEG.get(header.channels, "RGB"), header.height, header.width)
    mode = _MODES_OF_PNG.get(content[_COLOUR], "RGB")
    return PictureFacts(PNG, "I;16" if mode == "L" and content[_DEPTH] == 16 else mode, header.height, header.width)
