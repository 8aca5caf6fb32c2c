"""
What Prometheus gets.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from treq.testing import StubTreq
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.services.metrics import MAX_SERIES, OTHER, Figure, Metrics, MetricsResource
from p2pnet.signaling.health import Health


class MetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.drops: Counter[tuple[str, ...]] = Counter()
        self.peers = 0.0
        self.broken = False
        figures = [
            Figure("counter", "drops", "Dropped.", ("reason",), lambda: self.drops),
            Figure("gauge", "peers", "Peers.", (), lambda: {(): self.peers}),
        ]
        self.metrics = Metrics(figures, self.refresh)
        self.health = Health({"the registry does not answer": lambda: succeed(True)}, Clock())
        self.treq: Any = StubTreq(MetricsResource(self.metrics, self.health))

    async def refresh(self) -> None:
        if self.broken:
            raise OSError("no census today")
        self.peers = 3.0

    def get(self, path: str) -> tuple[int, str, bytes]:
        async def get() -> tuple[int, str, bytes]:
            response = await self.treq.get(f"http://127.0.0.1:9052/{path}")
            kind = response.headers.getRawHeaders("Content-Type")[0]
            return response.code, kind, await response.content()

        answered: Deferred[tuple[int, str, bytes]] = ensureDeferred(get())
        self.treq.flush()
        return self.successResultOf(answered)

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        status, kind, body = self.get("metrics")
        self.assertEqual(status, 200)
        self.assertTrue(kind.startswith("text/plain"), kind)
        return {
            (sample.name, tuple(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def test_a_scrape_shows_the_figures_of_now(self) -> None:
        self.drops["malformed",] += 2
        samples = self.samples()
        self.assertEqual(samples["p2pnet_drops_total", (("reason", "malformed"),)], 2.0)
        self.assertEqual(samples["p2pnet_peers", ()], 3.0)
        self.drops["malformed",] += 1
        self.assertEqual(self.samples()["p2pnet_drops_total", (("reason", "malformed"),)], 3.0)

    def test_the_lag_of_the_reactor_is_a_histogram(self) -> None:
        for seconds in (0.0, 0.003, 0.04, 7.0):
            self.metrics.measured_lag(seconds)
        samples = self.samples()
        self.assertEqual(samples["p2pnet_reactor_lag_seconds_count", ()], 4.0)
        below = samples["p2pnet_reactor_lag_seconds_bucket", (("le", "0.05"),)]
        self.assertEqual(below, 3.0)

    def test_the_process_is_among_them(self) -> None:
        samples = self.samples()
        self.assertGreater(samples["process_resident_memory_bytes", ()], 1e6)
        self.assertGreater(samples["process_open_fds", ()], 0)

    def test_what_grows_without_end_is_summed_up(self) -> None:
        for number in range(MAX_SERIES + 10):
            self.drops[f"reason {number}",] = 1
        series = {
            labels: value
            for (name, labels), value in self.samples().items()
            if name == "p2pnet_drops_total"
        }
        self.assertEqual(len(series), MAX_SERIES)
        self.assertEqual(series[(("reason", OTHER),)], 11.0)
        self.assertEqual(sum(series.values()), MAX_SERIES + 10)

    def test_a_scrape_that_fails_says_so_and_no_more(self) -> None:
        self.broken = True
        status, _, body = self.get("metrics")
        self.assertEqual(status, 500)
        self.assertNotIn(b"census", body)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_health_is_told_there_too(self) -> None:
        self.assertEqual(self.get("healthz"), (200, "application/json", b'{"status":"ok"}'))
        self.assertEqual(self.get("readyz"), (200, "application/json", b'{"status":"ready"}'))
        self.health.draining = True
        status, kind, body = self.get("readyz")
        self.assertEqual((status, kind), (503, "application/problem+json"))
        self.assertIn(b'"detail":"shutting down"', body)

    def test_there_is_nothing_else(self) -> None:
        for path in ("", "metrics/more", "metrics/", "%ff"):
            status, kind, _ = self.get(path)
            self.assertEqual((status, kind), (404, "application/problem+json"))

    def test_nothing_can_be_changed_there(self) -> None:
        for method in ("POST", "DELETE", "BREW"):
            answered = self.treq.request(method, "http://127.0.0.1:9052/metrics")
            response = self.successResultOf(answered)
            self.assertEqual(response.code, 405)
            self.assertEqual(response.headers.getRawHeaders("Allow"), ["GET, HEAD"])
