"""`loader.show()`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loader.data.pipeline.segments import Transform
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.sources.source import Source
from loader.train.inline import Inline
from loader.train.producer import Producer

if TYPE_CHECKING:
    from loader.train.show.contact_sheet import ContactSheet


class Showing(ABC):
    """A loader as far as its samples can be shown.

    Attributes:
        name: of the loader.
        source: where its samples come from.
        transforms: what they go through.
        plan: batches of an epoch.
    """

    name: str
    source: Source
    transforms: Sequence[Transform]
    plan: EpochPlan
    _producer: Producer

    @abstractmethod
    def with_settings(self, **changes: Any) -> Any:
        """Return a new loader like this one, with `changes`."""

    def show(self, samples: int = 16, epochs: int = 1) -> ContactSheet:
        """Return a picture of what the model sees: the first samples of the first epoch, behind all transforms, with labels.

        In a notebook, the last line of a cell shows it; `print` says in words what the samples hold. They are made in this process. The
        position of the loader stays where it is, and its workers go on. See docs/what_the_model_sees.md.

        Args:
            samples: how many.
            epochs: each sample as it is in so many epochs, beside each other: the first one, and those after it.

        Raises:
            SampleError: one of them can't be made.
            ConfigError: an argument is out of range, or memory does not suffice.

        Example: `train.show(samples=4, epochs=5).save("augmented.png")`
        """
        from loader.train.show.contact_sheet import ContactSheet
        from loader.train.show.samples import take_from_loader

        with self.with_settings(workers=0, remote=None, quarantine=None) as alike:
            producer = alike._producer
            assert isinstance(producer, Inline)
            return ContactSheet(take_from_loader(self.name, self.source, self.transforms, self.plan, producer, samples, epochs))
