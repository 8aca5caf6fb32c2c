"""
Runs of datagrams: a capture on a peer's own machine shows as one what its kernel takes apart only
behind the place where captures are made, or has put together before it (UDP GSO and GRO).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from p2pnet.dissect.frames import Datagram
from p2pnet.rudp.transmit import MIN_SEGMENT
from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    CONNECTION_NUMBER_MASK,
    MAX_DATAGRAM_SIZE,
    MAX_SEQUENCE,
    PROPERTY_MASK,
    PacketProperty,
)
from p2pnet.wire.layers import PacketLayer

_OF_RUNS: Final = (
    PacketProperty.UNRELIABLE,
    PacketProperty.CHANNELED,
    PacketProperty.ACK,
    PacketProperty.MERGED,
)
"""What is sent in runs, and may end one."""


def split(
    datagram: Datagram, layer: PacketLayer, is_sound: Callable[[Datagram], bool]
) -> Sequence[Datagram]:
    """
    The datagrams of a run; ``datagram`` alone if it is none.

    A capture does not tell how long they are.  So the length is looked for at which all of them can
    be read; what is no longer than a datagram may be and can be read is one.

    :param layer: what each has passed.
    :param is_sound: whether a datagram can be read to its end.
    """
    data = datagram.data
    longest = MAX_DATAGRAM_SIZE + layer.overhead
    if datagram.is_cut or len(data) <= MIN_SEGMENT:
        return [datagram]
    if len(data) <= longest and is_sound(datagram):
        return [datagram]
    for size in range(min(longest, len(data) - 1), MIN_SEGMENT - 1, -1):
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        if _are_alike([layer.inbound(part) or b"" for part in parts]):
            found = [replace(datagram, data=part, length=len(part)) for part in parts]
            if all(map(is_sound, found)):
                return found
    return [datagram]


def _are_alike(parts: Sequence[bytes]) -> bool:
    """
    They may follow one another: packets of one kind and connection, the last one of any that goes
    with messages, and fragments in order.
    """
    if min(map(len, parts)) < CHANNELED_HEADER_SIZE:
        return False
    first, last = parts[0][0], parts[-1][0]
    if any(part[0] != first for part in parts[:-1]):
        return False
    if last & PROPERTY_MASK not in _OF_RUNS or (last ^ first) & CONNECTION_NUMBER_MASK:
        return False
    if first & PROPERTY_MASK != PacketProperty.CHANNELED:
        return True
    sequences = [int.from_bytes(part[1:3], "little") for part in parts if part[0] == first]
    return all((b - a) % MAX_SEQUENCE == 1 for a, b in pairwise(sequences))
