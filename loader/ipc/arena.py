"""The arena: one piece of shared memory that holds the slots, the blocks of the order and the texts of failed slots.

    | order block 0 … | text of slot 0 … | slot 0 | slot 1 | … | this layout, as JSON |

The supervisor sizes and allocates it; everyone maps it; nobody names it. Who may write where:

    order block    the worker that holds its ORDER ticket, until it reports
    rows of a slot the worker that holds the ticket for them, until it reports; then nobody, until the trainer has released the slot
    slot text      the supervisor, before it hands the slot over
    layout         the supervisor, before it tells of the arena; it is as long as the spec of a sample wants it
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.layout import SlotLayout, align
from loader.data.rows import Indices
from loader.data.spec import SampleSpec
from loader.ipc import memfd

_PAGE_BYTES = 4096
_TEXT_BYTES = 16 * 1024


@dataclass(frozen=True)
class ArenaLayout:
    """Sizes and offsets of everything in an arena.

    Attributes:
        layouts: those that a slot can have; a ticket names the one that its slot has.
        slots: how many.
        block_rows: rows in a block of the order.
        blocks: places for blocks; 0 where the order is sequential.
        slot_nbytes: of a slot: those of the largest layout.
        nbytes: of the arena, without the layout itself.
    """

    layouts: tuple[SlotLayout, ...]
    slots: int
    block_rows: int
    blocks: int
    slot_nbytes: int = field(init=False)
    nbytes: int = field(init=False)
    _texts: int = field(init=False, repr=False)
    _first_slot: int = field(init=False, repr=False)
    _slot_stride: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        texts = align(self.blocks * self.block_rows * 8, _PAGE_BYTES)
        first_slot = texts + self.slots * _TEXT_BYTES
        slot_nbytes = max(layout.nbytes for layout in self.layouts)
        stride = align(slot_nbytes, _PAGE_BYTES)
        object.__setattr__(self, "_texts", texts)
        object.__setattr__(self, "_first_slot", first_slot)
        object.__setattr__(self, "_slot_stride", stride)
        object.__setattr__(self, "slot_nbytes", slot_nbytes)
        object.__setattr__(self, "nbytes", first_slot + self.slots * stride)

    def slot_bytes(self, number: int) -> slice:
        """Return where slot `number` lies."""
        start = self._first_slot + number * self._slot_stride
        return slice(start, start + self.slot_nbytes)

    def text_bytes(self, number: int) -> slice:
        """Return where the text of slot `number` lies."""
        start = self._texts + number * _TEXT_BYTES
        return slice(start, start + _TEXT_BYTES)

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON-able data."""
        return {
            "layouts": [{"spec": layout.spec.to_json(), "batch_size": layout.batch_size, "capacity": layout.capacity} for layout in self.layouts],
            "slots": self.slots,
            "block_rows": self.block_rows,
            "blocks": self.blocks,
        }

    def write(self, fd: int) -> None:
        """Append the layout to the arena's memory, for `read`. Runs in: the supervisor, before it tells of the arena."""
        os.pwrite(fd, json.dumps(self.to_json()).encode(), self.nbytes)

    @classmethod
    def read(cls, fd: int, nbytes: int) -> ArenaLayout:
        """Read the layout of an arena of `nbytes`. Runs in: the trainer, after it was told that there is one."""
        return cls.from_json(json.loads(os.pread(fd, os.fstat(fd).st_size - nbytes, nbytes)))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ArenaLayout:
        """Build the layout that `to_json` described."""
        layouts = tuple(SlotLayout(SampleSpec.from_json(one["spec"]), one["batch_size"], one["capacity"]) for one in data["layouts"])
        return cls(layouts, data["slots"], data["block_rows"], data["blocks"])


class Arena:
    """A mapped arena.

    Args:
        fd: of its memory, of at least `layout.nbytes`; its pages may not exist yet.
        layout: what lies where.
        writable: False for a trainer that shares it: one script must not change the batches of another.

    Attributes:
        memory: all of it.
    """

    def __init__(self, fd: int, layout: ArenaLayout, writable: bool = True) -> None:
        self.layout = layout
        self.memory = memfd.attach(fd) if writable else memfd.attach_readonly(fd)
        self._slots = [self.memory[layout.slot_bytes(number)] for number in range(layout.slots)]
        self._lendable = [(slot, _array_interface(slot)) for slot in self._slots]
        blocks = self.memory[: layout.blocks * layout.block_rows * 8].view(np.int64)
        self._blocks = blocks.reshape(layout.blocks, layout.block_rows)

    def slot(self, number: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of a slot; they keep the mapping alive."""
        return self._slots[number]

    def lendable(self, number: int) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
        """Return the bytes of a slot and their array interface, which would take longer to find out than all else about a lease."""
        return self._lendable[number]

    def text(self, number: int) -> memoryview:
        """Return the text area of a slot."""
        return self.memory[self.layout.text_bytes(number)].data

    def block(self, place: int) -> Indices:
        """Return a block of the order, int64 of shape `(block_rows,)`."""
        block: Indices = self._blocks[place]
        return block


def _array_interface(memory: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Return the array interface of contiguous bytes, without what is optional: an array of it is made in a third of the time."""
    return {key: memory.__array_interface__[key] for key in ("data", "shape", "typestr", "version")}
