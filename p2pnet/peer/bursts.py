"""
Counts the messages of bursts instead of showing each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from p2pnet.peer.payloads import read_burst_message
from p2pnet.wire.constants import DeliveryMethod

MAX_COUNT: Final = 1 << 20
"""Messages in one report: one more and it is made, however busy the burst is."""
MAX_ORDER: Final = 256
"""Indexes whose order of arrival is told."""
MAX_BURSTS: Final = 4096
"""Bursts under way; further messages are not counted but shown."""
_SURE_SIZE: Final = 12
"""With ``auto`` a smaller message might be no burst's, only look like one."""


@dataclass(frozen=True)
class Source:
    """
    Where a burst comes from; messages of one source are counted together.

    :ivar peer: its id.
    """

    peer: int
    method: DeliveryMethod
    channel: int
    salt: int
    """-1: the messages are too small to tell."""


@dataclass
class Burst:
    """
    What has come of one burst.

    :ivar last: the index of the newest message; `last_at` is when it came.
    :ivar sizes: of the messages, in bytes.
    :ivar seen: all indexes.
    """

    source: Source
    count: int = 0
    out_of_order: int = 0
    """Messages whose index is not over the one before."""
    last: int = -1
    last_at: float = 0.0
    sizes: set[int] = field(default_factory=set)
    order: list[int] = field(default_factory=list)
    """The first indexes, as they came."""
    seen: set[int] = field(default_factory=set)

    def add(self, index: int, size: int, now: float) -> None:
        """
        Count one message.

        :param index: its number in the burst.
        :param size: bytes.
        :param now: seconds, as for `Bursts`.
        """
        self.count += 1
        if index <= self.last:
            self.out_of_order += 1
        self.last, self.last_at = index, now
        self.sizes.add(size)
        self.seen.add(index)
        if len(self.order) < MAX_ORDER:
            self.order.append(index)

    def report(self) -> dict[str, object]:
        """
        The fields of a ``burst`` event.  Missing are indexes from 0 to the highest seen.
        """
        highest, unique = max(self.seen), len(self.seen)
        missing = highest + 1 - unique
        first_missing = -1
        if missing:
            first_missing = next(index for index in range(unique + 1) if index not in self.seen)
        return {
            "salt": self.source.salt,
            "count": self.count,
            "unique": unique,
            "in_order": self.out_of_order == 0,
            "out_of_order": self.out_of_order,
            "duplicates": self.count - unique,
            "first_missing": first_missing,
            "missing": missing,
            "max": highest,
            "last": self.last,
            "sizes": sorted(self.sizes),
            "order": self.order,
        }


class Bursts:
    """
    All bursts under way.

    :ivar mode: ``auto``, ``on`` (small messages count, too) or ``off``.
    :ivar idle: seconds without a message after which a burst is reported.
    """

    def __init__(self, mode: str = "auto", idle: float = 0.25) -> None:
        self.mode = mode
        self.idle = idle
        self._bursts: dict[Source, Burst] = {}

    def add(self, peer: int, method: DeliveryMethod, channel: int, data: bytes, now: float) -> bool:
        """
        Count a message; False if it is none of a burst.
        """
        if self.mode == "off" or (self.mode == "auto" and len(data) < _SURE_SIZE):
            return False
        read = read_burst_message(data)
        if read is None:
            return False
        index, salt = read
        source = Source(peer, method, channel, salt)
        burst = self._bursts.get(source)
        if burst is None:
            if len(self._bursts) >= MAX_BURSTS:
                return False
            burst = self._bursts[source] = Burst(source)
        burst.add(index, len(data), now)
        return True

    def take_due(self, now: float) -> list[Burst]:
        """
        Bursts to be reported now; they begin anew.
        """
        return self._take(
            [
                source
                for source, burst in self._bursts.items()
                if now >= burst.last_at + self.idle or burst.count >= MAX_COUNT
            ]
        )

    def take_all(self) -> list[Burst]:
        """
        All bursts, due or not; they begin anew.
        """
        return self._take(list(self._bursts))

    def next_due(self) -> float | None:
        """
        When `take_due` has something, if nothing comes before.
        """
        if not self._bursts:
            return None
        return min(burst.last_at for burst in self._bursts.values()) + self.idle

    def _take(self, sources: list[Source]) -> list[Burst]:
        return [self._bursts.pop(source) for source in sources]
