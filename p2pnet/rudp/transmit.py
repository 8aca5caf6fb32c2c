"""
What wants sending.
"""

from __future__ import annotations

from typing import Final, final

from p2pnet.wire.constants import Address

MIN_SEGMENT: Final = 512
"""Bytes; to join shorter datagrams gains little, and makes captures hard to read."""
MAX_SEGMENTS: Final = 64
"""Datagrams of a run; what the kernels take that take runs at all."""
MAX_RUN: Final = 65_000
"""Bytes of a run; it must fit one IP packet with its headers."""


@final
class Transmit:
    """
    One datagram for the socket, or a run of datagrams.

    By hand, because a dataclass takes several times as long to make, and there is one of these per
    datagram.

    :param ttl: IP time to live, if it must not be the socket's own.
    :param may_fragment: IP may take it apart: it is larger than the path that it was made for has
        become.
    :param segment_size: of a run: bytes of each datagram; the last one may have fewer.  0: ``data``
        is one.
    """

    __slots__ = ("address", "data", "may_fragment", "segment_size", "ttl")

    def __init__(
        self,
        address: Address,
        data: bytes,
        ttl: int | None = None,
        may_fragment: bool = False,
        segment_size: int = 0,
    ) -> None:
        self.address = address
        self.data = data
        self.ttl = ttl
        self.may_fragment = may_fragment
        self.segment_size = segment_size

    def __repr__(self) -> str:
        return (
            f"Transmit({self.address!r}, {self.data!r}, ttl={self.ttl}, "
            f"may_fragment={self.may_fragment}, segment_size={self.segment_size})"
        )

    @property
    def datagrams(self) -> int:
        """
        How many there are.
        """
        return -(-len(self.data) // self.segment_size) if self.segment_size else 1

    def split(self) -> list[Transmit]:
        """
        The datagrams of a run one by one.
        """
        data, size = self.data, self.segment_size or len(self.data)
        return [
            Transmit(self.address, data[start : start + size], self.ttl, self.may_fragment)
            for start in range(0, len(data) or 1, size or 1)
        ]


def in_runs(transmits: list[Transmit]) -> list[Transmit]:
    """
    The same datagrams in the same order, those joined that a kernel can take in one call: one after
    the other to one address, all equally long but for a shorter last one.
    """
    if len(transmits) < 2:
        return transmits
    runs: list[Transmit] = []
    waiting: list[bytes] = []
    first = transmits[0]
    size = room = 0
    for transmit in transmits:
        length = len(transmit.data)
        if (
            waiting
            and transmit.address == first.address
            and 0 < length <= min(size, room)
            and len(waiting) < MAX_SEGMENTS
            and transmit.ttl is None
            and not transmit.may_fragment
        ):
            waiting.append(transmit.data)
            # A shorter one is the last.
            room = room - length if length == size else 0
            continue
        _end_run(runs, first, waiting)
        first, size, room = transmit, length, MAX_RUN - length
        waiting = [transmit.data]
        if length < MIN_SEGMENT or transmit.ttl is not None or transmit.may_fragment:
            room = 0
    _end_run(runs, first, waiting)
    return runs


def _end_run(runs: list[Transmit], first: Transmit, waiting: list[bytes]) -> None:
    if len(waiting) > 1:
        first = Transmit(first.address, b"".join(waiting), segment_size=len(first.data))
    if waiting:
        runs.append(first)
