"""Figures for a collector of OpenTelemetry."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from loader.watch.metrics import otlp
from loader.watch.metrics.figures import Asked, figures
from loader.watch.metrics.otlp import NotTaken, endpoint, extra_headers, message, push
from tests.unit.watch.statuses import FAR, status

ASKED = [Asked("train", "77", status(network=FAR)), Asked("stuck", "78", None)]
NOW_S = 1_900_000_000.5


def metrics() -> dict[str, dict[str, Any]]:
    ((resource,),) = message(figures(ASKED), NOW_S).values()
    (scope,) = resource["scopeMetrics"]
    return {metric["name"]: metric for metric in scope["metrics"]}


def test_every_figure_is_sent_with_its_labels_and_unit() -> None:
    sent = metrics()
    told = {family.name.removesuffix("_total"): samples for family, samples in figures(ASKED) if samples}
    assert sent.keys() == told.keys()
    for name, metric in sent.items():
        points = (metric.get("sum") or metric["gauge"])["dataPoints"]
        assert [({one["key"]: one["value"]["stringValue"] for one in point["attributes"]}, point["asDouble"]) for point in points] == told[name]
        assert {point["timeUnixNano"] for point in points} == {"1900000000500000000"}
    assert {sent[name]["unit"] for name in ("loader_trainer_wait_seconds", "loader_stage_sample_seconds")} == {"s"}
    assert sent["loader_memory_limit_bytes"]["unit"] == "By"


def test_what_only_grows_is_a_sum_since_the_loader_was_made() -> None:
    waits = metrics()["loader_trainer_wait_seconds"]["sum"]
    assert (waits["isMonotonic"], waits["aggregationTemporality"]) == (True, 2)
    assert waits["dataPoints"][0]["startTimeUnixNano"] == "1800000000000000000"
    assert "gauge" in metrics()["loader_verdict"]


def test_opentelemetry_itself_understands_it() -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2", reason="opentelemetry-proto is not installed")
    json_format = pytest.importorskip("google.protobuf.json_format")
    request = json_format.Parse(json.dumps(message(figures(ASKED), NOW_S)), service.ExportMetricsServiceRequest())
    found = {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}
    assert found.keys() == metrics().keys()
    assert found["loader_batches_delivered"].sum.data_points[0].as_double == 3612


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
        ("https://example.com/", "https://example.com/v1/metrics"),
        ("https://example.com/otlp/v1/metrics?a=b", "https://example.com/otlp/v1/metrics?a=b"),
    ],
)
def test_the_usual_path_is_meant_where_there_is_none(url: str, target: str) -> None:
    assert endpoint(url) == target


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "file:///etc/passwd", "http://", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        endpoint(url)


def test_keys_of_services_come_from_the_usual_variable() -> None:
    assert extra_headers({}) == {}
    assert extra_headers({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, x=1=2,nonsense"}) == {"api-key": "a b", "x": "1=2"}


class Collector(BaseHTTPRequestHandler):
    reply: ClassVar[tuple[int, bytes]] = (200, b"")
    taken: ClassVar[list[tuple[str, str | None, Any]]] = []

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.taken.append((self.path, self.headers["api-key"], content))
        status, said = self.reply
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.reply = (200, b"")
    Collector.taken.clear()
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_collector_gets_it(collector: str) -> None:
    content = message(figures(ASKED), NOW_S)
    push(endpoint(collector), {"api-key": "secret"}, content)
    assert Collector.taken == [("/v1/metrics", "secret", content)]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((503, b"try later"), "HTTP 503 .*try later"),
        ((200, b'{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too old"}}'), "3 figures were refused: too old"),
        ((200, b"<html>"), "Expecting value"),
    ],
)
def test_a_collector_that_does_not_take_it_is_said_to(collector: str, reply: tuple[int, bytes], said: str) -> None:
    Collector.reply = reply
    with pytest.raises(NotTaken, match=said):
        push(endpoint(collector), {}, {})


def test_a_collector_that_is_not_there_is_said_to() -> None:
    with pytest.raises(NotTaken, match="refused"):
        push("http://127.0.0.1:1/v1/metrics", {}, {})


def test_trouble_is_told_once_and_so_is_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outcomes: list[Exception | None] = [None, NotTaken("it burns"), NotTaken("it burns"), None, None]
    said: list[str] = []

    def pushed(*given: Any) -> None:
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    def wait(seconds: float) -> None:
        assert seconds == 7
        if not outcomes:
            raise KeyboardInterrupt

    monkeypatch.setattr(otlp, "push", pushed)
    monkeypatch.setattr(otlp.time, "sleep", wait)
    with pytest.raises(KeyboardInterrupt):
        otlp.push_for_ever("http://there", 7, said.append)
    assert said == ["http://there has not taken the figures: it burns. It is tried again every 7 s", "http://there takes the figures again"]
