"""
Section ``[limits]``: what strangers may take of a rendezvous.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from p2pnet.services import checks
from p2pnet.services.table import setting
from p2pnet.signaling.limits import Limits


def _rate(default: str, text: str) -> Any:
    return setting(default, checks.rate, f"{text}: a second / at once.", reload=True)


def _count(default: int, text: str) -> Any:
    return setting(default, checks.count, f"{text}.", reload=True)


def _seconds(default: float, text: str) -> Any:
    return setting(default, checks.seconds, f"{text}.", reload=True)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """
    The fields of `Limits`, a network being a /24 or /64.
    """

    requests: str = _rate("50/300", "HTTP requests of one network")
    requests_in_all: str = _rate("1000/2000", "HTTP requests in all")
    listings: str = _rate(
        "10/60", "Listings of everybody at once, by one network, of a thousand peers each"
    )
    listings_in_all: str = _rate(
        "100/200", "Listings of everybody at once, in all, of a thousand peers each"
    )
    changes: str = _rate("2/30", "HTTP requests of one owner that change something")
    guesses: str = _rate("0.2/10", "Wrong passwords of one network")
    introductions: str = _rate("1/10", "Introductions of one peer, and its searches by name")
    probes: str = _rate("0.5/1", "Probes of one peer")
    facilitations: str = _rate("5/20", "LiteNetLib introduction requests of one network")
    facilitations_in_all: str = _rate("500/500", "LiteNetLib introduction requests in all")
    observations: str = _rate("50/100", "STUN answers to one network")
    observations_in_all: str = _rate("2000/2000", "STUN answers in all")
    associations: str = _rate("20/100", "UDP association requests of one network")
    associations_in_all: str = _rate("500/1000", "UDP association requests in all")
    connections: int = _count(256, "TCP connections of one network")
    connections_in_all: int = _count(8192, "TCP connections in all")
    listeners: int = _count(128, "Event listeners of one network")
    listeners_in_all: int = _count(4096, "Event listeners in all")
    pours: int = _count(8, "Answers over 32 KiB that one network has yet to take")
    poured: int = _count(64 * 1024 * 1024, "Bytes of such answers in all")
    request_time: float = _seconds(10.0, "Seconds in which a request must be complete")
    idle_time: float = _seconds(15.0, "Seconds for which a connection may be silent")
    drain_time: float = _seconds(20.0, "Seconds in which a client must take what waits for it")

    def limits(self) -> Limits:
        """
        The same, in the shape in which they hold.
        """
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in values.items():
            if isinstance(value, str):
                values[name] = checks.parsed_rate(value)
        return Limits(**values)
