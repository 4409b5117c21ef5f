"""The page that Prometheus reads, in its text format or in OpenMetrics, as it asks for. The only file that imports prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from loader.watch.metrics.figures import Figures


def page(figures: Sequence[Figures], accept: str) -> tuple[bytes, str]:
    """Return the page, and its content type.

    Args:
        figures: of all loaders.
        accept: the header of that name, which says in which formats it may be.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(figures))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Given:
    """What is there already, as a collector."""

    def __init__(self, figures: Sequence[Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for family, samples in self._figures:
            name = family.name.removesuffix("_total").removesuffix("_info")  # the library puts them back
            metric = Metric(name, family.help, family.type.value, family.unit)
            for labels, value in samples:
                metric.add_sample(family.name, labels, value)
            yield metric
