"""
Asking the gateway for one mapping and keeping it: what PCP and NAT-PMP have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from p2pnet.portmap.mapping import (
    MAX_LIFETIME,
    MIN_LIFETIME,
    Event,
    MappingFailed,
    MappingRefused,
    MappingUseless,
    PortMapped,
    PortUnmapped,
    check_offer,
)
from p2pnet.wire.constants import Address

SERVER_PORT: Final = 5351
"""UDP, of PCP and of NAT-PMP (RFC 6887 §19.1, RFC 6886 §3.1)."""

FIRST_PAUSE: Final = 0.25
"""
Seconds to the first repetition, doubled by each (RFC 6886 §3.1).

RFC 6887 §8.1.1 begins with 3 s, for servers at the far end of a provider; ours is one hop away and
shares its port with NAT-PMP.
"""
MIN_PAUSE: Final = 4.0
"""Seconds between two renewals, or two changes that nobody asked for (RFC 6887 §11.2.1)."""
FAREWELL: Final = 1.0
"""Seconds that giving the mapping back may take."""

_JITTER_BITS: Final = 16


class MalformedAnswer(ValueError):
    """
    These bytes answer nothing that we ask.
    """


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What is wanted, whoever is asked for it.

    :raise ValueError: it cannot be had.
    """

    port: int
    """Ours, and the external one we should like."""
    lifetime: int
    """Seconds to ask for."""
    timeout: float
    """Seconds after which a silent router is given up."""
    random: Callable[[int], int]
    """``random(k)`` gives k unguessable bits."""

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError(f"port must be in 1..65535, not {self.port}")
        if not MIN_LIFETIME <= self.lifetime <= MAX_LIFETIME:
            raise ValueError(
                f"lifetime must be in {MIN_LIFETIME:g}..{MAX_LIFETIME:g} s, not {self.lifetime}"
            )
        if not 0 < self.timeout <= 60:
            raise ValueError(f"timeout must be above 0 and at most 60 s, not {self.timeout}")


class _Phase(Enum):
    IDLE = auto()
    """Nothing is wanted: not yet, no longer, or in vain."""
    ASKING = auto()
    """For the mapping, or for more time."""
    HOLDING = auto()
    """A mapping, until it is time to renew it."""
    DELETING = auto()
    """Giving it back."""


class MappingClient(ABC):
    """
    One mapping of one UDP port.  Performs no I/O and reads no clock.

    Commands are `map`, `check` and `unmap`; they queue datagrams and events.  A router may answer
    what it likes: what is malformed or not ours is dropped, what is of no use is refused.

    :param server: where the router listens; what comes from elsewhere is not looked at.
    """

    def __init__(self, server: Address, terms: Terms) -> None:
        self.server = server
        self._terms = terms
        self._phase = _Phase.IDLE
        self._external: Address | None = None
        self._expires = 0.0
        self._next_at = 0.0
        self._pause = FIRST_PAUSE
        self._give_up_at = 0.0
        self._quiet_until = 0.0
        self._epoch: tuple[int, float] | None = None
        self._to_send: list[bytes] = []
        self._events: list[Event] = []

    # ------------------------------------------------------------ commands

    def map(self, now: float) -> None:
        """
        Ask for the mapping, and renew it from then on.

        `PortMapped` or `MappingFailed` follows within `timeout` seconds.
        """
        self._phase = _Phase.ASKING
        self._quiet_until = now + MIN_PAUSE
        self._begin_asking()
        self._begin_sending(now, self._terms.timeout)

    def check(self, now: float) -> None:
        """
        Ask whether the router still has the mapping.

        If it was restarted since, the mapping is made anew at once.  Silence means nothing.
        """
        if self._phase is _Phase.HOLDING:
            self._to_send.append(self._question())

    def unmap(self, now: float) -> None:
        """
        Give the mapping back; `PortUnmapped` follows within a second, whatever the router does.
        """
        if self._phase is _Phase.IDLE:
            self._events.append(PortUnmapped())
            return
        self._phase = _Phase.DELETING
        self._begin_sending(now, FAREWELL)

    # ------------------------------------------------------------ what happened

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """
        Take a datagram, from anybody; never raises.
        """
        if address != self.server or self._phase is _Phase.IDLE:
            return
        try:
            self._take_answer(data, now)
        except MalformedAnswer:
            return
        except MappingRefused as refused:
            self._give_up(str(refused), now)

    def port_unreachable(self, now: float) -> None:
        """
        The gateway says that nobody listens there, which ends the waiting (RFC 6886 §3.1).
        """
        self._give_up("nobody listens", now)

    def handle_timeout(self, now: float) -> None:
        """
        Do what is due.
        """
        due = self.next_timeout()
        if due is None or now < due:
            return
        if self._phase is _Phase.HOLDING:
            self.map(now)
        elif now >= self._give_up_at:
            self._give_up("no answer", now)
        else:
            self._send(now)

    # ------------------------------------------------------------ what is to be done

    def datagrams_to_send(self) -> list[bytes]:
        """
        What wants sending to `server`, once.
        """
        datagrams, self._to_send = self._to_send, []
        return datagrams

    def events(self) -> list[Event]:
        """
        What happened, once.
        """
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` has something to do.
        """
        return None if self._phase is _Phase.IDLE else self._next_at

    # ------------------------------------------------------------ of each protocol

    @abstractmethod
    def _begin_asking(self) -> None:
        """
        Forget what was found out about an earlier mapping.
        """

    @abstractmethod
    def _request(self, lifetime: int) -> bytes:
        """
        What to ask next; with a lifetime of 0 the end of the mapping.
        """

    @abstractmethod
    def _question(self) -> bytes:
        """
        What a router answers with its epoch, and with no change.
        """

    @abstractmethod
    def _take_answer(self, data: bytes, now: float) -> None:
        """
        Read one datagram from the server and call `_heard`, `_grant` or `_finish_deleting`.

        :raise MalformedAnswer: it is to be dropped.
        :raise MappingRefused: the router, or we, will not have this mapping.
        """

    @abstractmethod
    def _has_restarted(self, client_delta: float, server_delta: int) -> bool:
        """
        Whether a router's count of seconds that grew by ``server_delta`` cannot be the same one,
        as it was ``client_delta`` seconds by our own clock.
        """

    # ------------------------------------------------------------ their common part

    @property
    def _is_asking(self) -> bool:
        return self._phase is _Phase.ASKING

    @property
    def _is_deleting(self) -> bool:
        return self._phase is _Phase.DELETING

    def _wish(self) -> Address:
        """
        The external address to ask for: the one we have or had, else any with our own port.
        """
        return self._external or ("0.0.0.0", self._terms.port)

    def _heard(self, epoch: int, now: float, *, changed: bool = False) -> None:
        """
        Take note of any answer but a mapping; if the router has lost ours, ask anew.

        :param epoch: seconds since the router began to count (RFC 6887 §8.5, RFC 6886 §3.6).
        :param changed: the answer itself says that the mapping is not what it was.
        """
        if not (self._note_epoch(epoch, now) or changed):
            return
        self._expires = min(self._expires, now)
        if self._phase is _Phase.HOLDING:
            # A router that counts nonsense, or a flood of it, must not make us ask without a pause.
            self._next_at = min(self._next_at, max(now, self._quiet_until))

    def _note_epoch(self, epoch: int, now: float) -> bool:
        before, self._epoch = self._epoch, (epoch, now)
        return before is not None and self._has_restarted(now - before[1], epoch - before[0])

    def _grant(self, external: Address, lifetime: float, epoch: int, now: float) -> None:
        """
        The router has made or renewed the mapping; if it was restarted, then before that.

        :raise MappingUseless: it is of no use.
        """
        self._note_epoch(epoch, now)
        if self._phase is _Phase.HOLDING:
            # Nobody asked: the router tells of a change (RFC 6887 §14.2), or floods us.
            if now < self._quiet_until:
                return
            self._quiet_until = now + MIN_PAUSE
        try:
            believed = check_offer(external, lifetime)
        except MappingUseless:
            self._to_send.append(self._request(0))
            self._expires = now
            self._phase = _Phase.ASKING
            raise
        self._external = external
        self._expires = now + believed
        self._phase = _Phase.HOLDING
        # At 1/2 to 5/8 of the lifetime, so that not all hosts come at once (RFC 6887 §11.2.1).
        self._next_at = now + believed * (0.5 + 0.125 * self._fraction())
        self._events.append(PortMapped(external, believed))

    def _finish_deleting(self) -> None:
        """
        The router has forgotten the mapping, or will in its own time.
        """
        self._phase = _Phase.IDLE
        self._events.append(PortUnmapped())

    def _give_up(self, reason: str, now: float) -> None:
        if self._phase is _Phase.DELETING:
            self._finish_deleting()
        elif self._phase is _Phase.ASKING:
            left = self._expires - now
            if left >= 2 * MIN_PAUSE:
                # What we have is still good; ask again at half of what is left.
                self._phase = _Phase.HOLDING
                self._next_at = now + left / 2
            else:
                self._phase = _Phase.IDLE
                self._events.append(MappingFailed(reason))

    def _begin_sending(self, now: float, timeout: float) -> None:
        self._pause = FIRST_PAUSE
        self._give_up_at = now + timeout
        self._send(now)

    def _send(self, now: float) -> None:
        self._to_send.append(self._request(0 if self._is_deleting else self._terms.lifetime))
        # Random by a tenth, so that what met once does not meet again (RFC 6887 §8.1.1).
        self._next_at = min(now + self._pause * (0.9 + 0.2 * self._fraction()), self._give_up_at)
        self._pause *= 2

    def _fraction(self) -> float:
        return self._terms.random(_JITTER_BITS) / (1 << _JITTER_BITS)
