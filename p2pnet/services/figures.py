"""
What a rendezvous server counts, as figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from p2pnet.services.endpoints import Entrance
from p2pnet.services.lag import Lag
from p2pnet.services.machine import MonotonicClock
from p2pnet.services.metrics import Figure, Metrics, MetricsResource
from p2pnet.signaling.records import RegistryUnavailable
from p2pnet.signaling.site import bounded_site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    from p2pnet.interfaces import INetManager, IRegistry
    from p2pnet.rudp.statistics import NetStatistics
    from p2pnet.services.ordered import OrderedServices
    from p2pnet.signaling.api import SignalingAPI
    from p2pnet.signaling.facilitator import Facilitator
    from p2pnet.signaling.health import Health
    from p2pnet.signaling.introducer import Introducer
    from p2pnet.signaling.observers import Observer
    from p2pnet.signaling.records import Census
    from p2pnet.signaling.site import BoundedSite

    Series = Mapping[tuple[str, ...], float]


@dataclass(slots=True)
class Rendezvous:
    """
    The parts of a rendezvous server that count something.
    """

    registry: IRegistry
    introducer: Introducer
    observer: Observer
    facilitator: Facilitator
    engine: INetManager
    api: SignalingAPI
    site: BoundedSite
    health: Health
    census: Census | None = field(default=None, init=False)
    """The last that we have got."""
    _log = Logger()

    async def refresh(self) -> None:
        """
        Count who is registered.
        """
        try:
            self.census = await self.registry.census()
        except RegistryUnavailable as error:
            self._log.debug("no census: {error}", error=error)
            self.census = None

    def figures(self) -> list[Figure]:
        """
        All of them.
        """
        return [*self._people(), *self._http(), *self._introductions(), *self._engine()]

    def _people(self) -> list[Figure]:
        return [
            _gauge("peers", "Registrations at all servers.", self._peers, "status"),
            _gauge("leases", "Leases that run.", lambda: self._census("online")),
            _gauge("rooms", "Rooms.", lambda: self._census("rooms")),
            _gauge(
                "associations",
                "Associations with this server, by NAT.",
                lambda: _by(self.introducer.attendance.mappings()),
                "nat",
            ),
            _gauge(
                "registry_up",
                "Whether the registry answers.",
                lambda: _of(self.registry.available and self.census is not None),
            ),
            _gauge("draining", "About to end.", lambda: _of(self.health.draining)),
        ]

    def _census(self, what: str) -> Series:
        return {} if self.census is None else {(): getattr(self.census, what)}

    def _peers(self) -> Series:
        census = self.census
        if census is None:
            return {}
        return {
            ("online",): census.associated,
            ("away",): census.online - census.associated,
            ("offline",): census.registered - census.online,
        }

    def _http(self) -> list[Figure]:
        return [
            _counter(
                "registrations",
                "Registrations by HTTP.",
                lambda: _by(self.api.desk.registrations),
                "kind",
            ),
            _counter(
                "http_answers",
                "Answers of the REST API.",
                lambda: {
                    (operation, str(status)): number
                    for (operation, status), number in self.api.runner.answers.items()
                },
                "operation",
                "status",
            ),
            _counter(
                "http_throttled",
                "Requests beyond a limit.",
                lambda: _by(self.api.runner.throttled),
                "whose",
            ),
            _gauge("http_connections", "TCP connections.", lambda: _of(len(self.site.doors))),
            _counter(
                "http_turned_away",
                "TCP connections closed for want of room.",
                lambda: _of(self.site.doors.turned_away),
            ),
            _gauge(
                "event_listeners", "Who waits for events.", lambda: _of(self.api.hub.listeners)
            ),
            _counter(
                "event_listeners_dropped",
                "Who was too slow for events.",
                lambda: _of(self.api.hub.dropped),
            ),
        ]

    def _introductions(self) -> list[Figure]:
        broker = self.introducer.broker
        return [
            _counter(
                "association_refusals",
                "UDP associations refused.",
                lambda: _by(self.introducer.attendance.refusals),
                "reason",
            ),
            _counter(
                "introductions",
                "Pairs of peers introduced.",
                lambda: _of(broker.introductions),
            ),
            _counter(
                "outcomes",
                "What came of introductions, by the NATs of both.",
                lambda: dict(broker.outcomes.items()),
                "result",
                "caller",
                "callee",
            ),
            _counter(
                "messages_dropped",
                "What peers said and was not acted on.",
                lambda: _by(broker.drops),
                "reason",
            ),
            _counter(
                "silences",
                "Datagrams beyond the limits.",
                lambda: {
                    ("observer",): self.observer.drops,
                    ("facilitator",): self.facilitator.drops,
                },
                "port",
            ),
        ]

    def _engine(self) -> list[Figure]:
        count = self._statistics
        return [
            _counter(
                "engine_datagrams",
                "On the engine's UDP port.",
                lambda: {("sent",): count().packets_sent, ("received",): count().packets_received},
                "direction",
            ),
            _counter(
                "engine_bytes",
                "On the engine's UDP port.",
                lambda: {("sent",): count().bytes_sent, ("received",): count().bytes_received},
                "direction",
            ),
            _counter("engine_resent", "Packets sent again.", lambda: _of(count().packets_resent)),
            _counter("engine_lost", "Packets lost.", lambda: _of(count().packets_lost)),
            _counter(
                "engine_drops", "Packets not acted on.", lambda: _by(count().dropped), "reason"
            ),
            _gauge(
                "engine_in_flight",
                "Reliable packets under way.",
                lambda: _of(sum(peer.in_flight for peer in self.engine.peers)),
            ),
        ]

    def _statistics(self) -> NetStatistics:
        return self.engine.statistics


def add_metrics(
    services: OrderedServices, reactor: Any, endpoint: str, parts: Rendezvous
) -> Entrance:
    """
    Add what shows the figures of ``parts`` to Prometheus.
    """
    metrics = Metrics(parts.figures(), parts.refresh)
    site = bounded_site(MetricsResource(metrics, parts.health), reactor)
    entrance = Entrance(endpoint, site, reactor)
    services.add("reactor lag", Lag(MonotonicClock(reactor), metrics.measured_lag))
    services.add(f"metrics on {endpoint} (--metrics)", entrance.service)
    return entrance


def _of(number: float) -> Series:
    """
    Of a figure without labels.
    """
    return {(): number}


def _by(numbers: Mapping[str, int]) -> Series:
    return {(word,): number for word, number in numbers.items()}


def _counter(name: str, text: str, read: Callable[[], Series], *labels: str) -> Figure:
    return _figure("counter", name, text, read, labels)


def _gauge(name: str, text: str, read: Callable[[], Series], *labels: str) -> Figure:
    return _figure("gauge", name, text, read, labels)


def _figure(
    kind: Literal["counter", "gauge"],
    name: str,
    text: str,
    read: Callable[[], Series],
    labels: tuple[str, ...],
) -> Figure:
    return Figure(kind, name, text, labels, read)
