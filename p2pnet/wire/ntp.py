"""
The packet of the Network Time Protocol, for a client (RFC 4330, RFC 5905, WIRE §12).

Timestamps are the 64-bit numbers of the wire: units of 2**-32 s since 1900-01-01 UTC, which wrap
in 2036.  As integers they are compared and subtracted without rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from struct import Struct, error
from typing import Final

from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND
from p2pnet.wire.header import MalformedPacket

NTP_PORT: Final = 123
"""UDP port of time servers."""
NTP_SIZE: Final = 48
"""Bytes of a packet without extensions."""

_SECONDS_1900_TO_1970: Final = 2_208_988_800
_EPOCH_TICKS: Final = DOTNET_UNIX_EPOCH_TICKS - _SECONDS_1900_TO_1970 * TICKS_PER_SECOND
_UNIT: Final = 1 << 32
"""Timestamp units in a second."""
_WRAP: Final = 1 << 64
_SHORT_UNIT: Final = 1 << 16
"""Units in a second of root delay and root dispersion."""
_VERSION: Final = 4

_UNSYNCHRONISED: Final = 16
"""The stratum of who has no time (RFC 5905 §7.3); most say 0 instead."""
_NOT_YET: Final = ("INIT", "STEP")
"""Codes that refuse nothing: ntpd gives them until its clock is set (RFC 5905 §7.4)."""

_PACKET: Final = Struct(">BBBbiiIQQQQ")
"""
LI, VN and mode; stratum, poll, precision; root delay, root dispersion, reference id; timestamps.
"""


class NtpLeapIndicator(IntEnum):
    """
    What the last minute of this month will be like.
    """

    NO_WARNING = 0
    LAST_MINUTE_HAS_61_SECONDS = 1
    LAST_MINUTE_HAS_59_SECONDS = 2
    ALARM_CONDITION = 3
    """The server's own clock is not synchronised."""


class NtpMode(IntEnum):
    """
    Who speaks.
    """

    RESERVED = 0
    SYMMETRIC_ACTIVE = 1
    SYMMETRIC_PASSIVE = 2
    CLIENT = 3
    SERVER = 4
    BROADCAST = 5
    CONTROL = 6
    PRIVATE = 7


class NtpRefused(Exception):
    """
    The server does not want to be asked (a kiss-o'-death, RFC 5905 §7.4).

    :ivar code: why: ``DENY``, ``RSTR`` and ``RATE`` are the usual ones.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"the time server refuses: {code}")
        self.code = code


class NtpUnsynchronised(MalformedPacket):
    """
    The server answers, but does not know the time itself, or not yet.
    """


def ntp_timestamp(ticks: int) -> int:
    """
    The NTP timestamp of a time in .NET ticks of UTC, rounded to the unit below.
    """
    return (ticks - _EPOCH_TICKS) * _UNIT // TICKS_PER_SECOND % _WRAP


def unix_time(timestamp: int) -> float:
    """
    The seconds since 1970-01-01 UTC that a timestamp stands for.

    One whose highest bit is clear lies in 2036 or after (RFC 4330 §3).
    """
    if timestamp < _WRAP // 2:
        timestamp += _WRAP
    return (timestamp - _SECONDS_1900_TO_1970 * _UNIT) / _UNIT


@dataclass(frozen=True)
class NtpPacket:
    """
    What an NTP client sends and receives.
    """

    leap_indicator: NtpLeapIndicator
    version_number: int
    mode: NtpMode
    stratum: int
    """Steps from a reference clock: 1 has one itself.  0 has no time to give."""
    poll: int
    """Binary logarithm of the seconds between requests, unsigned."""
    precision: int
    """Binary logarithm of the clock's precision in seconds, signed."""
    root_delay: float
    """Seconds of round trip to the reference clock."""
    root_dispersion: float
    """Seconds by which the reference clock may be off."""
    reference_id: int
    """Which clock, in four bytes; why there is no time, if `stratum` is 0."""
    reference_timestamp: int
    """When the server's clock was last set; 0 if unknown, like every timestamp."""
    origin_timestamp: int
    """On the wire, the request's `transmit_timestamp`.  In an answer that is told: when the request
    left, by the client's clock."""
    receive_timestamp: int
    """When the request came, by the server's clock."""
    transmit_timestamp: int
    """When this packet left, by its sender's clock; in a request, any number."""
    destination_timestamp: int = 0
    """When this packet came, by the receiver's clock; not on the wire."""

    @classmethod
    def request(cls, transmit_timestamp: int) -> NtpPacket:
        """
        What a client asks with.

        :param transmit_timestamp: any number but 0.  The server repeats it and does not look at it.
        """
        return cls(
            leap_indicator=NtpLeapIndicator.NO_WARNING,
            version_number=_VERSION,
            mode=NtpMode.CLIENT,
            stratum=0,
            poll=0,
            precision=0,
            root_delay=0.0,
            root_dispersion=0.0,
            reference_id=0,
            reference_timestamp=0,
            origin_timestamp=0,
            receive_timestamp=0,
            transmit_timestamp=transmit_timestamp,
        )

    @classmethod
    def decode(cls, data: bytes, destination_time: int) -> NtpPacket:
        """
        Read a packet; what stands behind its 48 bytes is not looked at.

        :param destination_time: the `ntp_timestamp` of its arrival.
        :raise MalformedPacket: it is too short.
        """
        if len(data) < NTP_SIZE:
            raise MalformedPacket(f"an NTP packet of {len(data)} bytes")
        first, stratum, poll, precision, delay, dispersion, *rest = _PACKET.unpack_from(data)
        reference_id, reference, origin, receive, transmit = rest
        return cls(
            leap_indicator=NtpLeapIndicator(first >> 6),
            version_number=first >> 3 & 7,
            mode=NtpMode(first & 7),
            stratum=stratum,
            poll=poll,
            precision=precision,
            root_delay=delay / _SHORT_UNIT,
            root_dispersion=dispersion / _SHORT_UNIT,
            reference_id=reference_id,
            reference_timestamp=reference,
            origin_timestamp=origin,
            receive_timestamp=receive,
            transmit_timestamp=transmit,
            destination_timestamp=destination_time,
        )

    def by_another_clock(self, ahead: int) -> NtpPacket:
        """
        This answer as the client would have it, were its clock so many .NET ticks ahead.
        """
        units = ahead * _UNIT // TICKS_PER_SECOND
        return replace(
            self,
            origin_timestamp=(self.origin_timestamp + units) % _WRAP,
            destination_timestamp=(self.destination_timestamp + units) % _WRAP,
        )

    def encode(self) -> bytes:
        """
        The 48 bytes.

        :raise ValueError: a field is out of its range.
        """
        if not 0 <= self.version_number <= 7:
            raise ValueError(f"version_number must be in 0..7, not {self.version_number}")
        try:
            return _PACKET.pack(
                self.leap_indicator << 6 | self.version_number << 3 | self.mode,
                self.stratum,
                self.poll,
                self.precision,
                round(self.root_delay * _SHORT_UNIT),
                round(self.root_dispersion * _SHORT_UNIT),
                self.reference_id,
                self.reference_timestamp,
                self.origin_timestamp,
                self.receive_timestamp,
                self.transmit_timestamp,
            )
        except error as reason:
            raise ValueError(f"{self} fits no NTP packet: {reason}") from None

    def check_answer(self, request: NtpPacket) -> None:
        """
        Return if this packet answers `request` with a time that can be used.

        :raise NtpRefused: it answers, but tells to stay away.
        :raise NtpUnsynchronised: it answers, but the server's clock is not set.
        :raise MalformedPacket: it is no answer.
        """
        if self.mode is not NtpMode.SERVER or self.version_number == 0:
            raise MalformedPacket(
                f"an NTP packet of mode {self.mode}, version {self.version_number}"
            )
        # The reference looks at nothing but the sender's address, which can be forged, so that a
        # stranger sets its clock (PITFALLS C8).
        if not self.origin_timestamp or self.origin_timestamp != request.transmit_timestamp:
            raise MalformedPacket("an NTP packet that answers no request of ours")
        # Before the rest: of a refusal nothing else need be filled in.
        if self.stratum == 0:
            code = self._kiss_code()
            if code is not None and code not in _NOT_YET:
                raise NtpRefused(code)
        alarm = self.leap_indicator is NtpLeapIndicator.ALARM_CONDITION
        if alarm or not 0 < self.stratum < _UNSYNCHRONISED:
            raise NtpUnsynchronised("an NTP server whose clock is not set")
        if not self.receive_timestamp or not self.transmit_timestamp:
            raise MalformedPacket("an NTP answer without a time")

    def _kiss_code(self) -> str | None:
        """
        The letters in `reference_id`; None if there are others, as in chronyd's 0.

        Nothing else must reach a log or a terminal.
        """
        code = self.reference_id.to_bytes(4, "big").rstrip(b"\0")
        return code.decode("ascii") if code.isalnum() else None

    @property
    def round_trip_time(self) -> float:
        """
        Seconds that request and answer were under way.

        :raise ValueError: one of the four timestamps is unknown.
        """
        outward, homeward = self._ways()
        return (outward + homeward) / _UNIT

    @property
    def correction_offset(self) -> float:
        """
        Seconds to add to the receiver's clock to have the server's time.

        :raise ValueError: one of the four timestamps is unknown.
        """
        outward, homeward = self._ways()
        return (outward - homeward) / (2 * _UNIT)

    def _ways(self) -> tuple[int, int]:
        for name in ("origin", "receive", "transmit", "destination"):
            if not getattr(self, f"{name}_timestamp"):
                raise ValueError(f"the {name} timestamp is unknown")
        return (
            _difference(self.receive_timestamp, self.origin_timestamp),
            _difference(self.destination_timestamp, self.transmit_timestamp),
        )


def _difference(later: int, earlier: int) -> int:
    """
    Units between two timestamps; right up to 68 years, over the wrap too (RFC 5905 §6).
    """
    return (later - earlier + _WRAP // 2) % _WRAP - _WRAP // 2
