"""
One path under test: when it is probed, what came back, and what may be spent on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from p2pnet.reach.candidates import CandidateKind, Path

_DELAYS: Final[tuple[float, ...]] = (0.0, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0)
"""Seconds after which a path is probed: a NAT eats the first ones, loss others (TRAPS T3, T11)."""
_INTERVAL: Final = 0.25
"""Seconds between probes from then on."""
_RARE_INTERVALS: Final[tuple[float, ...]] = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between probes of direct paths while a relayed one is in use; then the last, for good."""
_MIN_INTERVAL: Final = 0.05
"""Seconds between probes at least, however many requests come."""
_MAX_OUTSTANDING: Final = 32
"""Probes of one path whose answers are still taken."""
_STRANGER_GAIN: Final = 3
"""Bytes for each byte that came from an address which nobody named (TRAPS T8)."""


@dataclass(frozen=True, slots=True)
class Tried:
    """
    What became of one path, for the record.

    :ivar probes: how many we sent.
    :ivar heard: something with the right key came over it.
    :ivar round_trip: seconds; None if it was not proven.
    """

    path: Path
    kind: CandidateKind
    probes: int
    heard: bool
    round_trip: float | None


class Sent(NamedTuple):
    """
    A probe whose answer has not come.
    """

    at: float
    nomination: int


@dataclass(slots=True, eq=False)
class Check:
    """
    One path under test.

    :ivar due: when to probe it, if it is to be probed.
    :ivar heard: something with the right key came over it.
    :ivar round_trip: seconds, by the last answer; None if it is not proven.
    :ivar proven_at: when it was; of no meaning if it is not.
    :ivar nomination: the highest number that the caller has given it, for the callee.
    :ivar unanswered: id of a request that nominates, to be answered when we have proven the path.
    :ivar credit: bytes that may go to an address which nobody named and which has answered nothing;
        None is no limit.
    """

    path: Path
    kind: CandidateKind
    due: float
    credit: int | None = None
    sent: int = 0
    heard: bool = False
    round_trip: float | None = None
    proven_at: float = -inf
    nomination: int = 0
    unanswered: bytes | None = None
    _since: float = field(init=False)
    _sent_at: float = -inf
    _rare: int = 0
    _outstanding: dict[bytes, Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._since = self.due

    # ------------------------------------------------------------ what it is

    @property
    def relays(self) -> int:
        """
        How many relays lie on the way: ours, theirs.
        """
        return self.path.relayed + (self.kind is CandidateKind.RELAYED)

    @property
    def proven(self) -> bool:
        """
        Who knows the key answers there.
        """
        return self.round_trip is not None

    @property
    def cost(self) -> tuple[int, bool, bool, float]:
        """
        What to prefer: few relays, theirs rather than ours; our own network; then the faster.
        """
        return (
            self.relays,
            self.path.relayed,
            self.kind is not CandidateKind.HOST,
            self.round_trip or 0.0,
        )

    def as_tried(self) -> Tried:
        """
        What to remember of it.
        """
        return Tried(self.path, self.kind, self.sent, self.heard, self.round_trip)

    # ------------------------------------------------------------ probes

    def hurry(self, now: float) -> None:
        """
        Begin again to probe often, now.
        """
        self._since = self.due = now

    def answer_in_kind(self, now: float) -> None:
        """
        The other side probes it: do so, too, as its NAT may be open to us now (RFC 8445 §7.3.1.4).
        """
        self.due = min(self.due, max(now, self._sent_at + _MIN_INTERVAL))

    def probed(self, id: bytes, nomination: int, now: float) -> None:
        """
        A probe leaves.
        """
        self._outstanding[id] = Sent(now, nomination)
        if len(self._outstanding) > _MAX_OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]
        self._sent_at = now
        self.sent += 1

    def schedule(self, now: float, *, rarely: bool) -> None:
        """
        Set the time for the next probe, which is later than ``now``.

        :param rarely: there is a path already, if a worse one.
        """
        if rarely:
            self.due = now + _RARE_INTERVALS[min(self._rare, len(_RARE_INTERVALS) - 1)]
            self._rare += 1
            return
        due = (self._since + delay for delay in _DELAYS)
        self.due = next((each for each in due if each > now), now + _INTERVAL)

    def answered(self, id: bytes, now: float) -> Sent | None:
        """
        An answer came; the probe that it answers, None if there is none.
        """
        sent = self._outstanding.pop(id, None)
        if sent is not None:
            self.heard = True
            if self.round_trip is None:
                self.proven_at = now
            self.round_trip = now - sent.at
            # Who answers once what nobody can guess may be sent to, whatever else is lost.
            self.credit = None
        return sent

    def doubt(self, now: float) -> None:
        """
        It was proven, and seems to lead nowhere now.
        """
        self.round_trip = None
        self.hurry(now)

    # ------------------------------------------------------------ what may be spent

    def earn(self, size: int) -> None:
        """
        So many bytes have come over it.
        """
        if self.credit is not None:
            self.credit += _STRANGER_GAIN * size

    def spend(self, size: int) -> bool:
        """
        Whether so many bytes may go; they are counted if they may.
        """
        if self.credit is None:
            return True
        if size > self.credit:
            return False
        self.credit -= size
        return True
