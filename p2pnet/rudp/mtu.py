"""
How large a datagram the path takes (BEHAVIOUR §9, WIRE §5).

The reference climbs its ladder one step a second.  We ask for all larger sizes at once and use the
largest that is answered; what is not answered is asked for twice more.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.rtt import NEVER
from p2pnet.wire.constants import MIN_MTU, MTU_LADDER

_INTERVAL: Final = 1.0
_ROUNDS: Final = 3
_AT_ONCE: Final = 0.2
"""Seconds; a reference peer whose timers are late still asks less often."""
_COURTESY: Final = 8.0
"""
Seconds for which we go on probing.  A reference peer gives up after three probes of its own unless
it receives some, and needs seven seconds for its ladder (WIRE §14).
"""
_SUSPICIOUS: Final = 6
"""Times in a row that large packets had to be sent again before we ask what the path takes."""
_DOUBT_INTERVAL: Final = 0.25
_BLACK_HOLE: Final = 3
"""Answers to the smallest probe, and none to that of the present size, that make a black hole."""
_RETRY_AFTER_BLACK_HOLE: Final = 60.0


@cache
def _ladder(overhead: int) -> tuple[int, ...]:
    """
    The sizes to try, in bytes, smallest first.
    """
    return tuple(size - overhead for size in MTU_LADDER if size - overhead >= MIN_MTU)


class MtuDiscovery:
    """
    The datagram size of one connection.

    Sizes are of the datagram without what a packet layer adds.

    :ivar mtu: the largest datagram to send now, in bytes.
    :ivar next_at: when `probes` is due.
    """

    def __init__(self, config: EndpointConfig, overhead: int) -> None:
        self._sizes = _ladder(overhead)
        self._smallest = MTU_LADDER[0] - overhead
        self._fixed = config.mtu_override > 0
        self._rounds = 0
        self._courtesy_until = NEVER
        self._asked: set[int] = set()
        self._initial = config.initial_mtu - (0 if self._fixed else overhead)
        self.mtu = self._initial
        self.next_at = NEVER

        self._peer_asked = 0
        self._peer_asked_at = -NEVER
        self._lost_in_a_row = 0
        self._largest_lost = 0
        self._doubt_at = NEVER
        self._largest_answered = 0
        """Of the probes smaller than the present size, while that is in doubt."""
        self._answers = 0

    def start(self, now: float) -> None:
        """
        The connection is open and the peer's address proven.
        """
        if not self._fixed:
            self.next_at = now + _INTERVAL
            self._courtesy_until = now + _COURTESY
            self._doubt_at = now

    def start_anew(self, now: float) -> None:
        """
        The path is another one, of which nothing is known (RFC 8899 §5.2).

        What is still answered over the one before was not asked of this one: the first probe waits
        for a second, and by then it is over.
        """
        self.mtu = self._initial
        self._rounds = 0
        self._asked.clear()
        self._trust()
        self.start(now)

    def probes(self, now: float) -> list[int]:
        """
        Sizes to probe now.
        """
        self.next_at = now + _INTERVAL
        self._rounds += 1
        larger = [size for size in self._sizes if size > self.mtu]
        if larger and self._rounds <= _ROUNDS:
            self._asked.update(larger)
            return larger
        if now < self._courtesy_until:
            return [*self._sizes[:1]]
        self.next_at = NEVER
        return []

    def answered(self, size: int, now: float) -> bool:
        """
        A probe of ``size`` bytes has come back; whether the MTU has changed for it.
        """
        # An answer to what was not asked is forged, or so late that it no longer says much.
        if size not in self._asked:
            return False
        if size >= self.mtu:
            grown = size > self.mtu
            self.mtu = size
            self._trust()
            return grown
        if self._lost_in_a_row < _SUSPICIOUS:
            return False
        self._largest_answered = max(self._largest_answered, size)
        self._answers += size == MIN_MTU
        if self._answers < _BLACK_HOLE:
            return False
        self.mtu = self._smallest if self._largest_answered == MIN_MTU else self._largest_answered
        self._trust()
        self._rounds = 0
        self._asked.clear()
        self.next_at = now + _RETRY_AFTER_BLACK_HOLE
        return True

    def asked(self, size: int, now: float) -> bool:
        """
        The peer probes with ``size`` bytes; whether that shows that it is of our kind.

        0.9.5.2 asks for one size a second, and for the next one only when the last was answered, so
        that no path, however late, can bring two of them together.  Who asks for several at once is
        of a later make: it acknowledges at once, and what it has already, too (BEHAVIOUR §6.4, §9).
        """
        several = size != self._peer_asked and now - self._peer_asked_at < _AT_ONCE
        self._peer_asked, self._peer_asked_at = size, now
        return several

    def lost(self, size: int, now: float) -> list[int]:
        """
        A packet of ``size`` bytes had to be sent again; sizes to probe now, if that raises a doubt.

        Loss alone says little: the path may be dead for a moment, or the peer may take nothing
        from us for a while.  If small probes are answered again and again, and the one of the
        present size that left before them never, then it is the size (RFC 8899 §4.3).
        """
        if size <= self._smallest:
            return []
        self._lost_in_a_row += 1
        self._largest_lost = max(self._largest_lost, size)
        if self._lost_in_a_row < _SUSPICIOUS or now < self._doubt_at:
            return []
        self._doubt_at = now + _DOUBT_INTERVAL
        # Below the smallest of the ladder no probe is answered, whatever a packet layer adds.
        smaller = [each for each in reversed(self._sizes) if MIN_MTU < each < self.mtu]
        sizes = [self.mtu, *smaller, MIN_MTU] if self.mtu > MIN_MTU else []
        self._asked.update(sizes)
        return sizes

    def delivered(self, size: int) -> None:
        """
        A packet of ``size`` bytes was acknowledged.
        """
        if self._lost_in_a_row and size >= self._largest_lost:
            self._trust()

    def _trust(self) -> None:
        self._lost_in_a_row = 0
        self._largest_lost = 0
        self._largest_answered = 0
        self._answers = 0
