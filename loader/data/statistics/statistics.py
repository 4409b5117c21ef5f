"""What a pass over a data set has found: for programs, for people, and for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.rows import Indices
from loader.data.spec import Array
from loader.errors import ConfigError

_SHOWN = 10  # channels, shapes and labels that are shown


@dataclass(frozen=True)
class FieldStatistics:
    """Statistics of one array of all samples.

    Arrays of three or more dimensions, such as (height, width, channels), have figures for each channel: each index of the last axis. Any other
    array is one channel. Mean, deviation and extremes are those of the finite values, in float64; NaN where a channel has none.

    Attributes:
        name: `x`, `y`, `sample_weight`, or `x['image']` for an entry of a dict.
        dtype: name of the dtype.
        shapes: how many samples have which shape, the commonest first.
        channels: length of the last axis, or None if the whole array is one channel.
        count: number of values, int64 of shape `(channels,)`, or `(1,)`, as all that follow.
        nan: how many of them are NaN.
        infinite: how many are infinite.
        mean: of shape `(channels,)`, float64.
        std: standard deviation, as `np.std`: divided by the number of values.
        minimum: smallest value.
        maximum: largest value.
        labels: how often each value occurs, in ascending order; None for all but labels that are single integers.
    """

    name: str
    dtype: str
    shapes: Mapping[tuple[int, ...], int]
    channels: int | None
    count: Indices
    nan: Indices
    infinite: Indices
    mean: Array
    std: Array
    minimum: Array
    maximum: Array
    labels: Mapping[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as data for JSON. What is not known is None, not NaN."""
        figures = {name: getattr(self, name).tolist() for name in ("count", "nan", "infinite", "mean", "std", "minimum", "maximum")}
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shapes": [{"shape": list(shape), "samples": samples} for shape, samples in self.shapes.items()],
            "channels": self.channels,
            **{name: [None if value != value else value for value in values] for name, values in figures.items()},
            "labels": None if self.labels is None else {str(label): samples for label, samples in self.labels.items()},
        }

    @classmethod
    def _from_dict(cls, told: Mapping[str, Any]) -> FieldStatistics:
        figures: dict[str, Any] = {name: np.array(told[name], np.int64) for name in ("count", "nan", "infinite")}
        figures |= {name: np.array(told[name], np.float64) for name in ("mean", "std", "minimum", "maximum")}
        shapes = {tuple(entry["shape"]): int(entry["samples"]) for entry in told["shapes"]}
        labels = None if told["labels"] is None else {int(label): int(samples) for label, samples in told["labels"].items()}
        return cls(told["name"], told["dtype"], shapes, told["channels"], **figures, labels=labels)

    def lines(self) -> list[str]:
        """Return it for people."""
        shapes = [f"{shape}" + (f" × {samples:,}" if len(self.shapes) > 1 else "") for shape, samples in self.shapes.items()]
        rows = [f"{self.name}: {self.dtype} {_some(shapes)}"]
        names = [""] if self.channels is None else [str(channel) for channel in range(len(self.count))]
        table = [["channel", "values", "mean", "std", "min", "max", "NaN", "infinite"]]
        for channel, name in list(enumerate(names))[:_SHOWN]:
            figures = [f"{values[channel]:,.6g}" for values in (self.mean, self.std, self.minimum, self.maximum)]
            table.append([name, f"{self.count[channel]:,}", *figures, f"{self.nan[channel]:,}", f"{self.infinite[channel]:,}"])
        first = 0 if self.channels is not None else 1
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        rows += ["  " + "  ".join(cell.rjust(width) for cell, width in list(zip(row, widths, strict=True))[first:]) for row in table]
        if len(names) > _SHOWN:
            rows.append(f"  ... and {len(names) - _SHOWN:,} more channels")
        if self.labels is not None:
            rows.append(f"  {len(self.labels):,} labels: {_some([f'{label} × {samples:,}' for label, samples in self.labels.items()])}")
        return rows


@dataclass(frozen=True)
class Statistics:
    """Statistics of all samples of a source: what `source.statistics()` returns. `print` shows them; `stats["x"]` are those of one array.

    Attributes:
        samples: how many there are.
        fields: statistics of each array of a sample, in order.
    """

    samples: int
    fields: tuple[FieldStatistics, ...]

    def __getitem__(self, name: str) -> FieldStatistics:
        """Return the statistics of an array by its name: a part, such as "x"; or a key of a dict, such as "image".

        Raises:
            ConfigError: no array, or several, have this name.
        """
        found = [field for field in self.fields if name == field.name or field.name.endswith(f"[{name!r}]")]
        if len(found) != 1:
            raise ConfigError(f"no single array is called {name!r}; there are {[field.name for field in self.fields]}")
        return found[0]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as data for JSON; `from_dict` makes it again."""
        return {"samples": self.samples, "fields": [field.as_dict() for field in self.fields]}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Statistics:
        """Return the statistics that `as_dict` returned, or `loader describe --json` printed. Raises ConfigError for anything else."""
        try:
            return cls(int(told["samples"]), tuple(map(FieldStatistics._from_dict, told["fields"])))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ConfigError(f"these are no statistics; give what as_dict(), or loader describe --json, returned: {error!r}") from None

    def __str__(self) -> str:
        return "\n".join([f"{self.samples:,} samples", *(line for field in self.fields for line in field.lines())])


def _some(words: list[str]) -> str:
    """Return the first of some words, and how many there are besides."""
    return ", ".join(words[:_SHOWN]) + (f", and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else "")
