"""
Asking NTP servers for the time, on the same socket (WIRE §12).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from p2pnet.rudp.events import Event, NtpFailed, NtpResponseReceived
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import TICKS_PER_SECOND, Address
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.ntp import NtpPacket, NtpRefused, NtpUnsynchronised, ntp_timestamp

_INTERVAL: Final = 1.0
"""The reference forgets to wait and asks at every tick (PITFALLS D20)."""
_ATTEMPTS: Final = 10
_RANDOM_BITS: Final = 64
"""
Of the transmit timestamp: all of it.

A server repeats it unread, and who can repeat it has seen the request (PITFALLS C8).  Our port is
no secret, so nothing else keeps a forger out.  The time itself stays here: of the request it would
tell our clock to everybody on the way, and random bits below it would blur the round trip.
OpenNTPD does the same.
"""


class _Asked:
    """
    One server that has not answered yet.
    """

    def __init__(self, now: float) -> None:
        self.sent: list[tuple[NtpPacket, int]] = []
        """Requests, and when each left by our clock."""
        self.next_at = now
        self.failure = "no answer"
        """What to say in the end."""


class TimeRequests:
    """
    The NTP client of one Endpoint.

    :param epoch: .NET ticks when ``now`` is 0.
    :param random: ``random(k)`` gives k unguessable bits.
    :ivar asked: by address: whatever comes from there now is an answer, or nothing.
    """

    def __init__(self, epoch: int, random: Callable[[int], int]) -> None:
        self._epoch = epoch
        self._random = random
        self.asked: dict[Address, _Asked] = {}

    def request(self, address: Address, now: float) -> None:
        """
        Begin to ask; once a second, ten times at most.

        :raise ValueError: ``address`` is being asked already.
        """
        if address in self.asked:
            raise ValueError(f"{address} is being asked for the time already")
        self.asked[address] = _Asked(now)

    def receive(self, data: bytes, address: Address, now: float) -> Event:
        """
        Take a datagram from a server that is asked.

        :raise MalformedPacket: it is no answer to what we sent, or has no time; we go on asking.
        """
        answer = NtpPacket.decode(data, self._timestamp(now))
        asked = self.asked[address]
        for request, left in asked.sent:
            # The origin must be one of ours, or anybody could set our clock (PITFALLS C8).
            if answer.origin_timestamp == request.transmit_timestamp:
                try:
                    answer.check_answer(request)
                except NtpRefused as refused:
                    del self.asked[address]
                    return NtpFailed(address, refused.code)
                except NtpUnsynchronised:
                    asked.failure = "the server's clock is not set"
                    raise
                del self.asked[address]
                return NtpResponseReceived(address, replace(answer, origin_timestamp=left))
        raise MalformedPacket("an NTP answer to nothing we asked")

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` or `poll` has something to do; None if nobody is asked.
        """
        return min([asked.next_at for asked in self.asked.values()], default=None)

    def handle_timeout(self, now: float) -> list[Event]:
        """
        Give up who has not answered in time.
        """
        failed = [
            NtpFailed(address, asked.failure)
            for address, asked in self.asked.items()
            if len(asked.sent) >= _ATTEMPTS and asked.next_at <= now
        ]
        for event in failed:
            del self.asked[event.address]
        return [*failed]

    def poll(self, now: float) -> list[Transmit]:
        """
        Requests to send now.
        """
        transmits: list[Transmit] = []
        for address, asked in self.asked.items():
            if len(asked.sent) >= _ATTEMPTS or asked.next_at > now:
                continue
            # 0 would say that there is none.
            request = NtpPacket.request(self._random(_RANDOM_BITS) or 1)
            asked.sent.append((request, self._timestamp(now)))
            asked.next_at = now + _INTERVAL
            transmits.append(Transmit(address, request.encode()))
        return transmits

    def _timestamp(self, now: float) -> int:
        return ntp_timestamp(self._epoch + int(now * TICKS_PER_SECOND))
