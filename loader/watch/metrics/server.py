"""Serves the page to Prometheus. The loaders are asked when it is read."""

from __future__ import annotations

from loader.watch.client import ANSWER_S, loaders
from loader.watch.metrics.figures import Names, figures
from loader.watch.metrics.prometheus import page
from loader.watch.serving import Handler, Server

PATH = "/metrics"

# Of the time that Prometheus waits, a loader that hangs takes so much; the rest is for the way.
_SHARE = 0.8
_LEAST_S = 0.1


def metrics_server(host: str, port: int) -> Server:
    """Return a server that listens already. Raises OSError if it can't."""
    names = Names()

    class MetricsHandler(Handler):
        """Answers Prometheus."""

        def do_GET(self) -> None:
            """Ask the loaders, and send the page."""
            if self.path.partition("?")[0] != PATH:
                self.refuse(404, f"The figures are at {PATH}.")
                return
            with loaders(patience_s(self.headers.get("X-Prometheus-Scrape-Timeout-Seconds"))) as found:
                asked = names.asked(found)
            content, content_type = page(figures(asked), self.headers.get("Accept", ""))
            self.answer(200, content_type, content)

    return Server(host, port, MetricsHandler)


def patience_s(header: str | None) -> float:
    """Return for how long loaders have time to answer: Prometheus, which says for how long it waits, must get the figures of the others in that."""
    try:
        return min(ANSWER_S, max(_LEAST_S, _SHARE * float(header or "")))
    except ValueError:
        return ANSWER_S
