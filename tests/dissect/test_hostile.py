"""
Whatever a capture holds, it is read to its end or to a clear error.
"""

from __future__ import annotations

import json
import struct

from hypothesis import given
from hypothesis import strategies as st

from p2pnet.dissect import CaptureError, Datagram, Dissector, json_line, text_lines
from p2pnet.wire.layers import Crc32cLayer, PacketLayer, XorEncryptLayer
from tests.dissect.writing import (
    ALICE,
    ALICE_V6,
    BOB,
    BOB_V6,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    opened,
    pcap,
    section,
    simple,
    udp,
)

LAYERS: tuple[PacketLayer | None, ...] = (None, Crc32cLayer(), XorEncryptLayer("tea"))
LINKS = (0, 1, 12, 101, 108, 113, 228, 229, 276, 105)


def assert_shown(datagram: Datagram, layer: PacketLayer | None) -> None:
    """
    Check that a datagram becomes lines that are safe to print.
    """
    reading = Dissector(layer, ["Some.Packet"]).read(datagram)
    for shown in text_lines(datagram, reading):
        assert shown.isascii()
        assert shown.isprintable()
    json.loads(json_line(datagram, reading))


def read_all(data: bytes) -> None:
    """
    Read a capture and show everything in it.
    """
    capture = opened(data)
    try:
        for datagram in capture:
            assert_shown(datagram, None)
    except CaptureError:
        # What it says about which damage, test_capture.py checks.
        pass
    assert all(count > 0 for count in capture.skipped.values())


@given(
    data=st.binary(max_size=1500),
    missing=st.integers(0, 3),
    layer=st.sampled_from(LAYERS),
    port=st.sampled_from([123, 9050]),
)
def test_any_bytes_are_a_datagram(
    data: bytes, missing: int, layer: PacketLayer | None, port: int
) -> None:
    assert_shown(Datagram(0, ALICE, ("192.0.2.2", port), data, len(data) + missing), layer)


@given(
    first=st.integers(0, 255), data=st.binary(max_size=64), layer=st.sampled_from(LAYERS)
)
def test_any_bytes_of_any_kind_are_a_datagram(
    first: int, data: bytes, layer: PacketLayer | None
) -> None:
    data = bytes((first,)) + data
    wrapped = data if layer is None else layer.outbound(data)
    assert_shown(Datagram(None, None, None, wrapped, len(wrapped)), layer)


@given(
    data=st.binary(max_size=300),
    link=st.sampled_from(LINKS),
    first=st.sampled_from([0x45, 0x60]),
)
def test_any_bytes_are_a_frame(data: bytes, link: int, first: int) -> None:
    read_all(pcap(data, bytes((first,)) + data, link=link))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_file(data: bytes) -> None:
    read_all(data)
    for magic in ("d4c3b2a1", "a1b23c4d", "0a0d0d0a"):
        read_all(bytes.fromhex(magic) + data)
    read_all(section() + interface() + data)


@given(st.text("0123456789abcdefx: #\t\n>I P", max_size=300))
def test_any_text_is_a_file(text: str) -> None:
    read_all(text.encode())


_LONG = udp(bytes(range(256)) * 12)
_GOOD = (
    pcap(
        ethernet(ipv4(udp(b"\x0c\x03\x00\x03\x02\x00"))),
        ethernet(ipv4(_LONG[:1480], more=True)),
        ethernet(ipv4(_LONG[1480:], offset=1480), tags=bytes.fromhex("81000005")),
        link=1,
    ),
    pcap(
        ipv6(struct.pack(">BBHI", 17, 0, 1, 9) + _LONG[:800], 44),
        ipv6(b"\x3c\x00" + bytes(6) + b"\x11\x01" + bytes(14) + udp(b"\x0d", ALICE_V6, BOB_V6), 0),
        order=">",
        nano=True,
    ),
    section()
    + interface(resolution=9, offset=7)
    + enhanced(ipv4(udp(b"\x03\x02\x00")), 1 << 40)
    + simple(ipv4(udp(b"\x00hi", BOB, ALICE))),
)


@given(
    good=st.sampled_from(_GOOD),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=8),
    length=st.none() | st.integers(0, 400),
)
def test_a_damaged_file_is_read_to_its_end_or_to_a_clear_error(
    good: bytes, changes: list[tuple[int, int]], length: int | None
) -> None:
    damaged = bytearray(good)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    read_all(bytes(damaged[:length]))
