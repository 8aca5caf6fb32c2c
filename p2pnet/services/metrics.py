"""
Figures for Prometheus, on an endpoint of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from p2pnet.signaling.shapes import Problem, encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from prometheus_client.core import Metric
    from twisted.web.server import Request

    from p2pnet.signaling.health import Health

MAX_SERIES: Final = 256
"""Label sets of one figure; what goes beyond is summed up as `OTHER`."""
OTHER: Final = "other"
_JSON: Final = "application/json"
_LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds: an honest client is to wait less than 0.05."""


@dataclass(frozen=True, slots=True)
class Figure:
    """
    Something that is counted elsewhere.

    :ivar name: in Prometheus, without ``p2pnet_`` and ``_total``.
    :ivar labels: names of what tells its series apart: words of ours, never what a stranger chose.
    :ivar read: the values of now, by label values.
    """

    kind: Literal["counter", "gauge"]
    name: str
    text: str
    labels: tuple[str, ...]
    read: Callable[[], Mapping[tuple[str, ...], float]]

    def family(self) -> Metric:
        """
        As Prometheus wants it.
        """
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = kind(f"p2pnet_{self.name}", self.text, labels=self.labels)
        for values, number in _bounded(self.read(), len(self.labels)).items():
            family.add_metric(values, number)
        return family


def _bounded(
    series: Mapping[tuple[str, ...], float], labels: int
) -> Mapping[tuple[str, ...], float]:
    if len(series) <= MAX_SERIES:
        return series
    known = list(series.items())
    rest = sum(number for _, number in known[MAX_SERIES - 1 :])
    return dict([*known[: MAX_SERIES - 1], ((OTHER,) * labels, rest)])


class Metrics:
    """
    What a scrape gets: figures, the reactor's lag, and those of the process.

    :param refresh: looks up what can only be had by waiting; done before each scrape.
    """

    def __init__(
        self, figures: Sequence[Figure], refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._refresh = refresh
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(figures))
        ProcessCollector(registry=self._registry)
        self._lag = Histogram(
            "p2pnet_reactor_lag_seconds",
            "How late the reactor serves its timers.",
            registry=self._registry,
            buckets=_LAG_BUCKETS,
        )

    def measured_lag(self, seconds: float) -> None:
        """
        The reactor was late by so much.
        """
        self._lag.observe(seconds)

    async def scrape(self, accept: str) -> tuple[str, bytes]:
        """
        Content type and body.

        :param accept: which formats who asks understands.
        """
        await self._refresh()
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class _Figures(Collector):
    def __init__(self, figures: Sequence[Figure]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        # Else each would be read, to learn its name, before there is anything to read.
        return ()

    def collect(self) -> Iterable[Metric]:
        return (figure.family() for figure in self._figures)


class MetricsResource(Resource):
    """
    ``/metrics``, ``/healthz`` and ``/readyz``.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, metrics: Metrics, health: Health) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._metrics = metrics
        self._health = health
        self._pages = {b"/metrics": self._scrape, b"/healthz": self._alive, b"/readyz": self._ready}

    def render(self, request: Request) -> int:
        """
        Answer when there is an answer; who has gone meanwhile gets none.
        """
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        async def answer() -> None:
            status, content_type, body = await self._answer(request)
            if not gone:
                request.setResponseCode(status)
                request.setHeader(b"Content-Type", content_type.encode())
                request.setHeader(b"Content-Length", b"%d" % len(body))
                request.setHeader(b"Cache-Control", b"no-store")
                request.write(body)
                request.finish()

        Deferred.fromCoroutine(answer())
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> tuple[int, str, bytes]:
        page = self._pages.get(request.path)
        if page is None:
            return _problem(404, "there are /metrics, /healthz and /readyz")
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return _problem(405, "allowed are GET, HEAD")
        try:
            return await page(request)
        except Exception:
            self._log.failure("{path!r} failed", path=request.path)
            return _problem(500, "this is our fault; the log knows more")

    async def _scrape(self, request: Request) -> tuple[int, str, bytes]:
        accept = (request.getHeader(b"Accept") or b"").decode("latin-1")
        return 200, *await self._metrics.scrape(accept)

    async def _alive(self, request: Request) -> tuple[int, str, bytes]:
        return 200, _JSON, encode({"status": "ok"})

    async def _ready(self, request: Request) -> tuple[int, str, bytes]:
        faults = await self._health.faults()
        if faults:
            return _problem(503, "; ".join(faults))
        return 200, _JSON, encode({"status": "ready"})


def _problem(status: int, detail: str) -> tuple[int, str, bytes]:
    return status, "application/problem+json", encode(Problem.of(status, detail))
