"""
What honest peers see of the server while others abuse it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from tests.abuse.actors import Actor
from tests.abuse.house import House, waited


@dataclass(frozen=True)
class Waiting:
    """
    How long honest peers have waited, in seconds, by what for.

    :ivar failures: what did not go as it should.
    :ivar starved: the part of the time in which the server, or they, were ready and had no
        processor, because others of this machine had them.
    """

    taken: dict[str, list[float]]
    failures: list[str]
    starved: float

    @property
    def p99(self) -> float:
        """
        99 of 100 times it did not take longer.
        """
        return quantile([each for some in self.taken.values() for each in some], 0.99)

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{kind} {quantile(some, 0.5) * 1000:.1f}/{quantile(some, 0.99) * 1000:.1f}"
            for kind, some in self.taken.items()
        )
        number = sum(map(len, self.taken.values()))
        p99 = f"p99 {self.p99 * 1000:.1f} ms of {number}"
        return f"{p99} (median/p99, ms: {kinds}; starved {self.starved:.0%})"


def quantile(values: list[float], part: float) -> float:
    """
    The smallest of them that ``part`` of them do not exceed.
    """
    return sorted(values)[ceil(part * len(values)) - 1]


class Witness:
    """
    A process of honest peers.
    """

    def __init__(self, house: House, log: Path) -> None:
        self._house = house
        self._actor = Actor(log, "tests.abuse.honest", house.http)
        self._actor.hear()

    def watch(self, seconds: float) -> Waiting:
        """
        Have them act for so long.
        """
        before = self._starved()
        self._actor.tell("begin")
        time.sleep(seconds)
        self._actor.tell("end")
        found = self._actor.hear()
        return Waiting(**found, starved=(self._starved() - before) / seconds)

    def _starved(self) -> float:
        return max(self._house.waited(), waited(self._actor.pid))

    def close(self) -> None:
        """
        End it.
        """
        self._actor.close()
