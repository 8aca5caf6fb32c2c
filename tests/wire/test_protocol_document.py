"""
The examples of docs/protocol.md, read and written by our code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from p2pnet.serialization.typehash import type_hash
from p2pnet.wire.constants import WINDOW_SIZE, PacketProperty
from p2pnet.wire.header import MalformedPacket, minimum_size
from p2pnet.wire.layers import Crc32cLayer, PacketLayer, XorEncryptLayer
from p2pnet.wire.nat import parse_nat
from p2pnet.wire.ntp import NtpPacket
from p2pnet.wire.packets import Ack, NatMessage, parse
from p2pnet.wire.sequence import distance
from p2pnet.wire.sockaddr import encode_sockaddr, loses_tie

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def examples(kind: str) -> list[str]:
    """
    The lines of all blocks of this kind, without comments.
    """
    blocks = re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


def pairs(kind: str) -> list[tuple[str, str]]:
    return [(left.strip(), right.strip()) for left, right in map(halves, examples(kind))]


def halves(line: str) -> tuple[str, str]:
    left, _, right = line.partition("=")
    return left, right


def octets(text: str) -> bytes:
    """
    Hex digits; ``00*499`` is 499 zero bytes.
    """
    return bytes.fromhex(
        re.sub(r"(\w\w)\*(\d+)", lambda found: found[1] * int(found[2]), text).replace(" ", "")
    )


@pytest.mark.parametrize("line", examples("hex"))
def test_a_datagram_is_read_and_written(line: str) -> None:
    data = octets(line)
    packet = parse(data)
    assert packet.encode() == data
    if isinstance(packet, NatMessage):
        assert [inner.encode() for inner in parse_nat(packet.body)] == [data]


def test_every_kind_of_datagram_has_an_example() -> None:
    assert {octets(line)[0] & 31 for line in examples("hex")} == set(PacketProperty)


@pytest.mark.parametrize("line", examples("malformed"))
def test_what_is_malformed_is_refused(line: str) -> None:
    with pytest.raises(MalformedPacket):
        parse(octets(line))


def test_the_table_of_kinds_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\d+) \| [\d, ]+ \|$", DOCUMENT, re.MULTILINE)
    assert [(int(number), name.lower(), int(size)) for number, name, size in rows] == [
        (kind.value, kind.name.replace("_", "").lower(), minimum_size(kind))
        for kind in PacketProperty
    ]


@pytest.mark.parametrize(("numbers", "result"), pairs("distance"))
def test_a_distance_is_right(numbers: str, result: str) -> None:
    a, b = map(int, numbers.split())
    assert distance(a, b) == int(result)


@pytest.mark.parametrize(("address", "blob"), pairs("sockaddr"))
def test_a_socket_address_is_right(address: str, blob: str) -> None:
    host, port = address.split()
    assert encode_sockaddr((host, int(port))) == octets(blob)


@pytest.mark.parametrize(("addresses", "result"), pairs("tie"))
def test_a_tie_is_broken_as_told(addresses: str, result: str) -> None:
    host_a, port_a, host_b, port_b = addresses.split()
    first = encode_sockaddr((host_a, int(port_a)))
    second = encode_sockaddr((host_b, int(port_b)))
    told = {"first wins": (False, True), "both lose": (True, True)}[result]
    assert (loses_tie(second, first), loses_tie(first, second)) == told


@pytest.mark.parametrize(("arrivals", "ack"), pairs("acks"))
def test_an_ack_tells_what_arrived(arrivals: str, ack: str) -> None:
    channel_id, _, sequences = arrivals.partition(":")
    start, bitmap = received(map(int, sequences.split()))
    assert Ack(0, start, int(channel_id), bitmap).encode() == octets(ack)
    assert parse(octets(ack)) == Ack(0, start, int(channel_id), bitmap)


def received(sequences: Iterable[int]) -> tuple[int, int]:
    """
    Window start and bitmap after these, by the five steps of section 5.
    """
    start, expected, arrived = 0, 0, set[int]()
    for sequence in sequences:
        assert distance(sequence, expected) < WINDOW_SIZE
        assert distance(sequence, start) >= 0
        start = max(start, sequence - WINDOW_SIZE + 1)
        arrived.add(sequence)
        while expected in arrived:
            expected += 1
    return start, sum(1 << sequence % WINDOW_SIZE for sequence in arrived if sequence >= start)


@pytest.mark.parametrize(("name", "number"), pairs("hash"))
def test_a_hash_is_right(name: str, number: str) -> None:
    assert type_hash(name) == int(number, 16)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [(Crc32cLayer(), "layer crc32c"), (XorEncryptLayer("tea"), "layer xor:tea")],
)
def test_a_layer_does_as_told(layer: PacketLayer, kind: str) -> None:
    assert pairs(kind)
    for packet, datagram in pairs(kind):
        assert layer.outbound(octets(packet)) == octets(datagram)
        assert layer.inbound(octets(datagram)) == octets(packet)


def test_the_answer_of_a_time_server_is_understood() -> None:
    asked, answered = map(octets, examples("ntp"))
    request = NtpPacket.decode(asked, 0)
    assert NtpPacket.request(request.transmit_timestamp).encode() == asked
    answer = NtpPacket.decode(answered, request.transmit_timestamp + (3 << 32))
    answer.check_answer(request)
    assert answer.encode() == answered
    assert answer.correction_offset == 8.0


def test_links_within_the_document_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", DOCUMENT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", DOCUMENT)) <= anchors


def test_no_kind_of_block_is_left_unchecked() -> None:
    known = {
        "hex", "malformed", "distance", "sockaddr", "tie", "acks", "hash", "ntp",
        "layer crc32c", "layer xor:tea",
    }  # fmt: skip
    fences = re.findall(r"^```(.*)$", DOCUMENT, re.MULTILINE)
    assert set(fences[::2]) == known
    assert set(fences[1::2]) == {""}
