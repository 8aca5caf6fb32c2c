"""
The time servers that a recorded party asked, and what we and the library make of their answers.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from p2pnet.wire.constants import Address
from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.ntp import NtpLeapIndicator, NtpMode, NtpPacket
from tests.rudp.excuses import Excuses, Fact
from tests.rudp.recording import Step, dial_target
from tests.rudp.wrapping import is_time_request

_REQUEST_HEAD = 40
"""Bytes of a request before its time."""
_ORIGIN = slice(24, 32)
_PATIENCE_MS = 10_000.0
_ATTEMPTS = 10
_INTERVAL_MS = 999.0
_NOT_SET = "the server's clock is not set"


class TimeServers:
    """
    Who is asked for the time.

    An answer repeats the number in the request, which is ours in a replay, so the one in a recorded
    answer is exchanged, as with the connection times (README of the recordings).
    """

    def __init__(self, steps: list[Step], excuses: Excuses) -> None:
        self._excuses = excuses
        self._addresses = {
            dial_target(step) for step in steps if step.command.split()[:1] == ["ntp"]
        }
        self._theirs: dict[Address, list[bytes]] = {}
        for step in steps:
            if step.kind == "out" and self.is_request(step.peer, step.data):
                self._theirs.setdefault(step.peer, []).append(step.data)
        self._ours: dict[Address, list[tuple[float, bytes]]] = {}
        self._commands: Counter[Address] = Counter()
        self._library_asks_until: dict[Address, float] = {}
        self._we_ask: set[Address] = set()

    def __contains__(self, address: Address) -> bool:
        return address in self._addresses

    def is_request(self, address: Address, data: bytes) -> bool:
        """
        Whether we or the library ask for the time with this.
        """
        return address in self._addresses and is_time_request(data)

    def is_asked_by_library_only(self, address: Address, at: float) -> bool:
        """
        The library has not noticed what made us give up.
        """
        return self._library_asks(address, at) and address not in self._we_ask

    # ------------------------------------------------------------ what happens

    def asked(self, address: Address, at: float) -> None:
        """
        The application wants to know the time.
        """
        self._commands[address] += 1
        self._library_asks_until[address] = at + _PATIENCE_MS
        self._we_ask.add(address)
        # The library says nothing when it gives up.
        self._excuses.extra["ntp_failed", address, "no answer"] += 1

    def sent(self, address: Address, data: bytes, at: float) -> None:
        """
        We have asked.
        """
        self._ours.setdefault(address, []).append((at, data))

    def done(self, address: Address) -> None:
        """
        We ask no more.
        """
        self._we_ask.discard(address)

    def received(self, data: bytes, address: Address, at: float) -> bytes:
        """
        What our engine is to be fed instead of `data`; notes what will differ because of it.
        """
        by_library = self._library_asks(address, at)
        by_us = address in self._we_ask
        requests = self._theirs.get(address, [])
        answers = any(data[_ORIGIN] == request[_REQUEST_HEAD:] for request in requests)
        if by_us and answers:
            origin = self._ours[address][-1][1][_REQUEST_HEAD:]
            data = data[: _ORIGIN.start] + origin + data[_ORIGIN.stop :]
        try:
            packet = NtpPacket.decode(data, 0)
        except MalformedPacket:
            return data
        valid = _is_valid(packet)
        if by_us and answers and packet.mode is NtpMode.SERVER and packet.stratum == 0:
            code = packet.reference_id.to_bytes(4, "big")
            if code.isalnum():
                # The library asks on who tells it to stay away.
                self._excuses.extra["ntp_failed", address, code.decode("ascii")] += 1
            else:
                self._excuses.extra["ntp_failed", address, _NOT_SET] += 1
        if by_library and valid:
            del self._library_asks_until[address]
            if not (by_us and answers):
                # PITFALLS C8: the library takes the time from an answer to somebody else's request.
                self._excuses.missing[ntp_fact(address, packet)] += 1
        elif by_us and answers and valid:
            self._excuses.extra[ntp_fact(address, packet)] += 1
        if by_library != by_us:
            # To who is not asked, an answer is a packet without a connection.
            stray = "PEER_NOT_FOUND", address, bytes((P.PEER_NOT_FOUND,))
            (self._excuses.extra if by_library else self._excuses.missing)[stray] += 1
        return data

    def _library_asks(self, address: Address, at: float) -> bool:
        return at < self._library_asks_until.get(address, 0.0)

    # ------------------------------------------------------------ when all is over

    def differences(self) -> list[str]:
        """
        What is wrong with our requests.
        """
        found: list[str] = []
        for address in self._theirs.keys() | self._ours.keys():
            ours = self._ours.get(address, [])
            theirs = {data[:_REQUEST_HEAD] for data in self._theirs.get(address, [])}
            if {data[:_REQUEST_HEAD] for _, data in ours} != theirs:
                found.append(f"time requests to {address}: {ours}, not {theirs}")
            # PITFALLS D20: the library asks at every tick.
            soon = [b - a for (a, _), (b, _) in pairwise(ours)]
            if len(soon) > 0 and min(soon) < _INTERVAL_MS and self._commands[address] == 1:
                found.append(f"time requests to {address} after {soon} ms")
            if len(ours) > _ATTEMPTS * self._commands[address]:
                found.append(f"{len(ours)} time requests to {address}")
        return found


def ntp_fact(address: Address, packet: NtpPacket) -> Fact:
    """
    What an application learns of an answer, but for what depends on when it asked.
    """
    body = packet.encode()
    rest = body[: _ORIGIN.start] + body[_ORIGIN.stop :]
    return "ntp", address, packet.stratum, packet.mode.name, packet.version_number, rest


def _is_valid(packet: NtpPacket) -> bool:
    """
    Whether the library takes it for an answer (WIRE §12).
    """
    times = packet.origin_timestamp, packet.receive_timestamp, packet.transmit_timestamp
    return (
        packet.mode is NtpMode.SERVER
        and packet.version_number != 0
        and packet.stratum != 0
        and packet.leap_indicator is not NtpLeapIndicator.ALARM_CONDITION
        and 0 not in times
    )
