"""The same figures, pushed to a collector of OpenTelemetry: OTLP over HTTP, as JSON, which every receiver of it takes.

Without OpenTelemetry's own library: it would bring protobuf in versions that not every TensorFlow can live with, for one request in a quarter minute.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import loader
from loader.watch.client import loaders
from loader.watch.metrics.families import Type
from loader.watch.metrics.figures import Figures, Names, figures

_PATH = "/v1/metrics"
_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1", "": ""}
_CUMULATIVE = 2
_PATIENCE_S = 10.0
_WORDS = 300


class NotTaken(Exception):
    """The collector did not take the figures."""


def push_for_ever(target: str, interval_s: float, say: Callable[[str], None]) -> None:
    """Push the figures of all loaders again and again.

    Args:
        target: address of the collector, as `endpoint` returns it.
        interval_s: seconds from one push to the next.
        say: told when a push fails after one that did not, and when it works again.
    """
    names, headers = Names(), extra_headers(os.environ)
    trouble = ""
    while True:
        with loaders() as found:
            asked = names.asked(found)
        try:
            push(target, headers, message(figures(asked), time.time()))
            if trouble:
                say(f"{target} takes the figures again")
            trouble = ""
        except NotTaken as error:
            if not trouble:
                say(f"{target} has not taken the figures: {error}. It is tried again every {interval_s:g} s")
            trouble = str(error)
        time.sleep(interval_s)


def endpoint(url: str) -> str:
    """Return the address to send to. Raises ValueError if it can't be one."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address such as http://127.0.0.1:4318")
    return urllib.parse.urlunsplit(parts._replace(path=_PATH if parts.path in ("", "/") else parts.path))


def extra_headers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what OpenTelemetry's own variable has: `name=value,name=value`, with escapes as in URLs. Keys of services are given there."""
    given = environment.get("OTEL_EXPORTER_OTLP_METRICS_HEADERS") or environment.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    pairs = [part.partition("=") for part in given.split(",") if "=" in part]
    return {urllib.parse.unquote(name.strip()): urllib.parse.unquote(value.strip()) for name, _, value in pairs}


def push(target: str, headers: Mapping[str, str], content: dict[str, Any]) -> None:
    """Send one message. Raises NotTaken."""
    sent = {**headers, "Content-Type": "application/json", "User-Agent": f"loader/{loader.__version__}"}
    request = urllib.request.Request(target, json.dumps(content).encode(), sent)  # http and https only
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            reply = json.loads(answer.read() or b"{}")
        refused = (reply.get("partialSuccess") if isinstance(reply, dict) else None) or {}
        if int(refused.get("rejectedDataPoints", 0)):
            raise NotTaken(f"{refused['rejectedDataPoints']} figures were refused: {refused.get('errorMessage', '')}")
    except urllib.error.HTTPError as error:
        raise NotTaken(f"HTTP {error.code} {error.reason}: {error.read(_WORDS).decode(errors='replace').strip()}") from error
    except (OSError, ValueError) as error:
        raise NotTaken(str(getattr(error, "reason", error))) from error


def message(given: Sequence[Figures], at_s: float) -> dict[str, Any]:
    """Return the figures as an `ExportMetricsServiceRequest` in OTLP's JSON.

    Args:
        given: all of them.
        at_s: now, in seconds since 1970.
    """
    starts = {_who(labels): value for family, samples in given if family.name == "loader_start_time_seconds" for labels, value in samples}
    metrics = []
    for family, samples in given:
        points = [_point(labels, value, at_s, starts.get(_who(labels))) for labels, value in samples]
        counts = {"aggregationTemporality": _CUMULATIVE, "isMonotonic": True, "dataPoints": points}
        kind = {"sum": counts} if family.type is Type.COUNTER else {"gauge": {"dataPoints": points}}
        name = family.name.removesuffix("_total")  # which the receiver adds
        if points:
            metrics.append({"name": name, "description": family.help, "unit": _UNITS[family.unit], **kind})
    scope = {"scope": {"name": "loader", "version": loader.__version__}, "metrics": metrics}
    resource = {"attributes": _attributes({"service.name": "loader", "host.name": os.uname().nodename})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}


def _who(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels["loader"], labels["pid"]


def _point(labels: Mapping[str, str], value: float, at_s: float, since_s: float | None) -> dict[str, Any]:
    start = {} if since_s is None else {"startTimeUnixNano": str(int(since_s * 1e9))}
    return {"attributes": _attributes(labels), **start, "timeUnixNano": str(int(at_s * 1e9)), "asDouble": value}


def _attributes(given: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in given.items()]
