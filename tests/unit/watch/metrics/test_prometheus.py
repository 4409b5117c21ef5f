"""The page of `loader metrics`, read by Prometheus' own parsers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from loader.watch.metrics.families import FAMILIES
from loader.watch.metrics.figures import UP, Asked, figures
from loader.watch.metrics.prometheus import page
from tests.unit.watch.statuses import FAR, REMOTE, SHARED, status

Parser = Callable[[str], Iterable[Metric]]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
FORMATS: dict[str, Parser] = {"text/plain; version=0.0.4": parse_text, OPENMETRICS: parse_openmetrics}
EVERYTHING = status(network=FAR, memory=status()["memory"] | {"reduced_to": 1}) | SHARED

each_format = pytest.mark.parametrize(("accept", "parse"), FORMATS.items(), ids=["text", "openmetrics"])


def shown(asked: list[Asked], accept: str, parse: Parser) -> dict[str, list[tuple[dict[str, str], float]]]:
    content, content_type = page(figures(asked), accept)
    assert content_type.partition(";")[0] == accept.partition(";")[0]
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parse(content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@each_format
def test_every_figure_is_on_the_page_under_its_name(accept: str, parse: Parser) -> None:
    asked = [Asked("train", "77", EVERYTHING), Asked("far", "80", status() | REMOTE), Asked("val", "78", status()), Asked("stuck", "79", None)]
    found = shown(asked, accept, parse)
    assert found == {family.name: samples for family, samples in figures(asked)}
    assert found.keys() == {family.name for family in (UP, *FAMILIES)}


@each_format
def test_without_a_loader_it_is_a_page_still(accept: str, parse: Parser) -> None:
    assert shown([], accept, parse) == {}


@each_format
def test_names_may_hold_anything(accept: str, parse: Parser) -> None:
    name = 'a "quoted" \\name\n# of {many} lines, \udcff and ünïcode'
    found = shown([Asked(name, "77", status(script=name))], accept, parse)
    ((labels, _),) = found["loader_info"]
    assert labels["loader"] == labels["script"] == name.replace("\udcff", "?")


def test_types_are_those_of_openmetrics() -> None:
    content, _ = page(figures([Asked("train", "77", EVERYTHING)]), OPENMETRICS)
    assert {f"{one.name}": one.type for one in parse_openmetrics(content.decode())} == {
        family.name.removesuffix("_total").removesuffix("_info"): family.type.value for family in (UP, *FAMILIES)
    }
