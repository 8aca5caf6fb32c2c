"""
What a kernel has joined, or not yet taken apart, is told as the datagrams that it is.
"""

from __future__ import annotations

from random import Random

import pytest

from p2pnet.dissect.frames import Datagram
from p2pnet.dissect.reading import Dissector
from p2pnet.wire.layers import Crc32cLayer, PacketLayer, XorEncryptLayer
from p2pnet.wire.packets import Ack, Channeled, Fragment, Merged, Unreliable

RANDOM = Random(6)


def merged(first: int, count: int = 26) -> bytes:
    packets = (Channeled(0, first + i, 2, RANDOM.randbytes(48)).encode() for i in range(count))
    return Merged(0, tuple(packets)).encode()


def fragments(count: int, size: int = 1432, last: int = 900) -> list[bytes]:
    return [
        Channeled(
            1, 100 + i, 0, RANDOM.randbytes((last if i == count - 1 else size) - 10),
            Fragment(7, i, count),
        ).encode()
        for i in range(count)
    ]  # fmt: skip


def captured(parts: list[bytes]) -> Datagram:
    data = b"".join(parts)
    return Datagram(1, ("10.0.0.1", 1), ("10.0.0.2", 2), data, len(data))


RUNS = {
    "small messages": [merged(0), merged(26), merged(52, 12)],
    "two that would fit one": [merged(0, 10), merged(10, 5)],
    "a lone message last": [merged(0), merged(26), Channeled(0, 52, 2, b"alone").encode()],
    "an ack last": [merged(0), Ack(0, 5, 2, 9).encode()],
    "a large message": fragments(45),
    "a large message on a narrow path": fragments(9, 1404),
    "unreliable": [
        Merged(0, (Unreliable(0, bytes(600)).encode(), Unreliable(0, b"x" * 90).encode())).encode()
    ]
    * 4,
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(
    "layer", [PacketLayer(), Crc32cLayer(), XorEncryptLayer(b"key")], ids=["none", "crc32c", "xor"]
)
def test_a_run_is_taken_apart(name: str, layer: PacketLayer) -> None:
    sent = [layer.outbound(part) for part in RUNS[name]]
    found = Dissector(layer).split(captured(sent))
    assert [each.data for each in found] == sent
    assert [each.length for each in found] == [len(part) for part in sent]


@pytest.mark.parametrize(
    "data",
    [
        merged(0),
        merged(0)[:-1],
        merged(0) + b"\0",
        merged(0) + b"garbage",
        RANDOM.randbytes(1432),
        RANDOM.randbytes(9000),
        b"\x0c" * 700,
        b"",
    ],
)
def test_what_is_no_run_stays_one_datagram(data: bytes) -> None:
    whole = captured([data])
    assert Dissector().split(whole) == [whole]


def test_a_cut_one_stays_one() -> None:
    whole = captured(RUNS["small messages"])
    cut = Datagram(whole.time, whole.source, whole.destination, whole.data[:2000], whole.length)
    assert Dissector().split(cut) == [cut]
