"""What Grafana and Prometheus are told to show and to watch, read by a parser of PromQL: every query asks for figures that there are."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from loader.watch.metrics.families import FAMILIES, Family, Type
from loader.watch.metrics.figures import UP

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "examples" / "monitoring"
KNOWN = {family.name: family for family in (UP, *FAMILIES)}
ALWAYS = {"loader", "pid", "job", "instance"}
OVER_TIME = {"rate", "increase"}

dashboard = json.loads((FOLDER / "grafana/dashboards/loader.json").read_text())
alerts = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
page = (ROOT / "docs/prometheus_and_grafana.md").read_text()
panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]

QUERIES = [
    *((f"{panel['title']}: {target['expr']}", target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]),
    *((f"{rule['alert']}: {rule['expr']}", rule["expr"], rule["annotations"]["summary"]) for rule in alerts),
    *((f"docs: {query}", query, "") for query in re.findall(r"\| `(.*?)`.*\|$", page.partition("| PromQL |")[2], re.MULTILINE)),
]


def below(expression: Any) -> Iterator[Any]:
    """Yield an expression and all that it is made of."""
    yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (part := getattr(expression, name, None)) is not None:
            yield from below(part)
    for argument in getattr(expression, "args", []):
        yield from below(argument)


def labels_of(family: Family) -> set[str]:
    return ALWAYS | set(family.labels)


@pytest.mark.parametrize(("query", "legend"), [pytest.param(*given, id=name) for name, *given in QUERIES])
def test_a_query_asks_for_figures_and_labels_that_there_are(query: str, legend: str) -> None:
    parts = list(below(promql_parser.parse(query.replace("$__rate_interval", "1m"))))
    selectors = [part for part in parts if isinstance(part, promql_parser.VectorSelector)]
    assert selectors
    families = [KNOWN[selector.name] for selector in selectors]
    for selector, family in zip(selectors, families, strict=True):
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels_of(family)
    common = set.intersection(*map(labels_of, families))
    grouped = [part.modifier.labels for part in parts if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None]
    assert all(set(labels) <= common for labels in grouped)
    kept = set(grouped[0]) if grouped and "topk" not in query else common
    assert set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-z]\w*)\s*\}\}", legend)) <= kept
    looked_at_over_time = {part.vector_selector.name for part in parts if isinstance(part, promql_parser.MatrixSelector)}
    assert looked_at_over_time == {family.name for family in families if family.type is Type.COUNTER}
    assert all(part.func.name in OVER_TIME for part in parts if isinstance(part, promql_parser.Call))


def test_the_test_sees_what_is_wrong() -> None:
    for wrong in ("loader_upp", 'loader_up{stage="x"}', "rate(loader_epoch[1m])", "loader_batches_delivered_total", "sum by (worker) (loader_up)"):
        with pytest.raises((AssertionError, KeyError)):
            test_a_query_asks_for_figures_and_labels_that_there_are(wrong, "")
    with pytest.raises(ValueError, match=r"."):
        promql_parser.parse("rate(loader_up[1m)")


def test_the_dashboard_answers_the_questions_in_order() -> None:
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == [
        "Is training waiting?",
        "Who starves it?",
        "Which stage?",
        "Which worker?",
        "Which node?",
        "What does memory do?",
        "What died?",
        "What comes from afar?",
    ]
    assert all(panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for panel in panels)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_panels_lie_side_by_side_and_not_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_what_the_recipe_starts_finds_its_files() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert service["network_mode"] == "host"
        for volume in service["volumes"]:
            source, target, *_ = volume.split(":")
            assert not source.startswith(".") or (FOLDER / source).exists(), volume
            assert target.startswith("/")
    (scraped,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert scraped["static_configs"] == [{"targets": ["127.0.0.1:9095"]}]
    (source,) = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"].removeprefix("http://") in " ".join(services["prometheus"]["command"])
    (provider,) = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/loader.yaml").read_text())["providers"]
    assert any(volume.split(":")[1] == provider["options"]["path"] for volume in services["grafana"]["volumes"])


def test_the_page_of_figures_is_made_from_the_code() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_figures.py"))["page"]()
    assert (ROOT / "docs" / "figures.md").read_text() == made, "make docs"
