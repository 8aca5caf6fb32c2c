"""
Files of tcpdump and Wireshark, and hex, whole and broken.
"""

from __future__ import annotations

import struct

import pytest

from p2pnet.dissect import CaptureError
from p2pnet.dissect.frames import MAX_FRAME
from tests.dissect.writing import (
    ALICE,
    BOB,
    NOON,
    block,
    datagrams,
    enhanced,
    interface,
    ipv4,
    opened,
    pcap,
    section,
    simple,
    udp,
)

ONE, TWO = ipv4(udp(b"\x00one")), ipv4(udp(b"\x00two"))
SECOND = 1_000_000_000


def error(data: bytes, before: int = 0) -> str:
    """
    What is said about a file that is broken behind `before` datagrams.
    """
    capture = iter(opened(data))
    for _ in range(before):
        next(capture)
    with pytest.raises(CaptureError) as caught:
        next(capture)
    return str(caught.value)


# ------------------------------------------------------- classic


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_a_pcap_file_is_read(order: str, nano: bool) -> None:
    unit = 1 if nano else 1000
    first, second = datagrams(pcap(ONE, TWO, order=order, nano=nano))
    assert (first.data, second.data) == (b"\x00one", b"\x00two")
    assert first.time == NOON * SECOND + 123456 * unit
    assert second.time == (NOON + 1) * SECOND + 123456 * unit


def test_a_pcap_file_without_frames_is_read() -> None:
    assert datagrams(pcap()) == []


def test_the_length_of_check_sequences_is_no_link_type() -> None:
    data = bytearray(pcap(ONE))
    data[20:24] = struct.pack("<I", 0x14000000 | 101)
    assert len(datagrams(bytes(data))) == 1


def test_a_pcap_file_that_ends_early_gives_what_came_before() -> None:
    whole = pcap(ONE, TWO)
    second = len(pcap(ONE))
    assert error(whole[:-1], 1) == (
        f"offset {second + 16}: the file ends in a frame, 1 bytes early"
    )
    assert error(whole[: second + 5], 1) == (
        f"offset {second}: the file ends in the header of a frame"
    )
    assert error(whole[:10]) == "offset 4: the file ends in its header, 14 bytes early"


def test_a_pcap_file_with_an_impossible_frame_is_broken() -> None:
    data = pcap(ONE) + struct.pack("<IIII", 0, 0, MAX_FRAME + 1, MAX_FRAME + 1)
    assert error(data, 1) == f"offset {len(pcap(ONE))}: a frame of {MAX_FRAME + 1} bytes"


# ------------------------------------------------------- pcapng


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcapng_file_is_read(order: str) -> None:
    data = section(order) + interface(order=order)
    data += enhanced(ONE, NOON * 1_000_000 + 7, order) + simple(TWO, order=order)
    first, second = datagrams(data)
    assert (first.data, second.data) == (b"\x00one", b"\x00two")
    assert (first.source, first.destination) == (ALICE, BOB)
    assert first.time == NOON * SECOND + 7000
    assert second.time is None


@pytest.mark.parametrize(
    ("resolution", "units"), [(9, 10**9), (0, 1), (0x80 | 10, 1024), (3, 1000), (None, 10**6)]
)
def test_the_times_of_an_interface_have_its_units(resolution: int | None, units: int) -> None:
    data = section() + interface(resolution=resolution) + enhanced(ONE, NOON * units)
    assert datagrams(data)[0].time == NOON * SECOND


def test_the_times_of_an_interface_begin_where_it_says() -> None:
    data = section() + interface(offset=NOON) + enhanced(ONE, 5)
    assert datagrams(data)[0].time == NOON * SECOND + 5000


def test_each_interface_has_its_own_link_type() -> None:
    data = section() + interface(101) + interface(0)
    data += enhanced(b"\x02\0\0\0" + TWO, 0, number=1) + enhanced(ONE, 0, number=0)
    assert [each.data for each in datagrams(data)] == [b"\x00two", b"\x00one"]


def test_a_section_begins_anew_even_in_another_byte_order() -> None:
    data = section("<") + interface(0) + section(">") + interface(101, ">") + enhanced(ONE, 0, ">")
    assert len(datagrams(data)) == 1


def test_blocks_that_hold_no_frames_are_passed_over() -> None:
    data = section() + block(5, bytes(8)) + interface() + block(0xBAD, b"?") + enhanced(ONE, 0)
    assert len(datagrams(data)) == 1


def test_a_simple_block_holds_no_more_than_its_interface_captures() -> None:
    (datagram,) = datagrams(section() + interface(snaplen=30) + simple(ONE[:30] + b"??", len(ONE)))
    assert datagram.is_cut
    assert datagram.data == b"\x00o"


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        pytest.param(enhanced(ONE, 0)[:-1], "the file ends in a block, 1 bytes early", id="cut"),
        pytest.param(b"\x06\0", "the file ends in the type of a block", id="cut in a type"),
        pytest.param(
            enhanced(ONE, 0, number=1), "a frame of interface 1, which is unknown", id="interface"
        ),
        pytest.param(b"\x06\0\0\0\x0d\0\0\0", "a block of 13 bytes", id="no multiple of four"),
        pytest.param(b"\x06\0\0\0\x08\0\0\0", "a block of 8 bytes", id="too small"),
        pytest.param(
            b"\x06\0\0\0\0\0\0\x7f", "a block of 2130706432 bytes", id="announces two gigabytes"
        ),
        pytest.param(
            block(6, bytes(16))[:-4] + b"\x20\0\0\0",
            "a block that ends otherwise than it begins",
            id="two sizes",
        ),
        pytest.param(block(6, bytes(16)), "a block too short for what it is", id="short"),
        pytest.param(
            block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99) + bytes(8)),
            "a frame longer than its block",
            id="long frame",
        ),
        pytest.param(
            block(0x0A0D0D0A, bytes(16)), "no byte order is called 00000000", id="byte order"
        ),
        pytest.param(
            enhanced(bytes(MAX_FRAME + 1), 0), f"a frame of {MAX_FRAME + 1} bytes", id="huge"
        ),
    ],
)
def test_a_broken_pcapng_file_gives_what_came_before(tail: bytes, message: str) -> None:
    head = section() + interface() + enhanced(TWO, 0)
    told = error(head + tail, 1)
    assert told.endswith(message)
    assert told.startswith("offset ")
    # Or a few bytes behind the beginning of the block, where it ends.
    assert 0 <= int(told.split()[1].rstrip(":")) - len(head) <= 8


def test_a_pcapng_file_with_thousands_of_interfaces_is_broken() -> None:
    assert len(datagrams(section() + interface() * 4096 + enhanced(ONE, 0, number=4095))) == 1
    assert error(section() + interface() * 4097).endswith("over 4096 interfaces")


# ------------------------------------------------------- hex


def test_a_line_of_hex_is_a_datagram() -> None:
    first, second = datagrams(b"# a comment\n\n00 6f6e65  # one\n0074776F")
    assert (first.data, second.data) == (b"\x00one", b"\x00two")
    assert (first.time, first.source, first.destination) == (None, None, None)


def test_what_is_not_hex_is_told_with_its_line() -> None:
    assert error(b"0d\n0dx\n", 1) == "line 2: no bytes in hex: '0dx'"
    assert error(b"\n\n123") == "line 3: no bytes in hex: '123'"
    assert "\x1b" not in error(b"hello \x1b[31m")


def test_a_line_without_end_is_not_read() -> None:
    assert error(b"0d\n" + b"00" * 600_000, 1) == "offset 4: a line of more than 1048576 bytes"


def dump(packet: bytes, *, text: bool) -> str:
    """
    As tcpdump prints it with -x, or -X if with `text`.
    """
    lines = []
    for start in range(0, len(packet), 16):
        row = packet[start : start + 16]
        digits = " ".join(row[n : n + 2].hex() for n in range(0, len(row), 2))
        if text:
            shown = "".join(chr(each) if 32 < each < 127 else "." for each in row)
            digits = f"{digits:39}  {shown}"
        lines.append(f"\t0x{start:04x}:  {digits}\n")
    return "".join(lines)


@pytest.mark.parametrize("text", [False, True])
def test_what_tcpdump_prints_is_read(text: bool) -> None:
    printed = "".join(
        f"12:00:00.1 IP 192.0.2.1.9050 > 192.0.2.2.41204: UDP, length 9\n{dump(packet, text=text)}"
        for packet in (ONE, ipv4(udp(b"\x00fourteen bytes 0x0010:  4500")), TWO)
    )
    first, second, third = datagrams(printed.encode())
    assert (first.source, first.data) == (ALICE, b"\x00one")
    assert second.data.endswith(b"4500")
    assert third.data == b"\x00two"


def test_what_tcpdump_printed_and_somebody_cut_is_told() -> None:
    printed = dump(ONE, text=False).splitlines(keepends=True)
    assert error("".join(printed[1:]).encode()) == "line 1: 0x0010 does not go on where it should"


# ------------------------------------------------------- neither


def test_an_empty_file_is_no_capture() -> None:
    assert error(b"") == "the file is empty"


def test_another_file_is_no_capture() -> None:
    assert error(b"\x1f\x8b\x08\x00") == "neither pcap, pcapng nor hex: it begins with 1f8b0800"
