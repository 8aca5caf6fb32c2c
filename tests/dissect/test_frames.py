"""
UDP datagrams are found under whatever a link puts around them.
"""

from __future__ import annotations

import struct

import pytest

from p2pnet.dissect.frames import MAX_FRAME
from tests.dissect.writing import (
    ALICE,
    ALICE_V6,
    BOB,
    BOB_V6,
    ETHERNET,
    datagrams,
    ethernet,
    ipv4,
    ipv6,
    opened,
    pcap,
    udp,
)

HELLO = b"\x00hello"
PACKET = ipv4(udp(HELLO))
PACKET_V6 = ipv6(udp(HELLO, ALICE_V6, BOB_V6))
LONG = bytes(range(256)) * 12


def skipped(frame: bytes, link: int = 101) -> dict[str, int]:
    """
    Why nothing is found in a frame.
    """
    capture = opened(pcap(frame, link=link))
    assert not list(capture)
    return dict(capture.skipped)


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        pytest.param(101, PACKET, id="raw"),
        pytest.param(12, PACKET, id="raw, as OpenBSD numbers it"),
        pytest.param(228, PACKET, id="IPv4"),
        pytest.param(0, struct.pack("<I", 2) + PACKET, id="null"),
        pytest.param(108, struct.pack(">I", 2) + PACKET, id="loop"),
        pytest.param(1, ethernet(PACKET), id="Ethernet"),
        pytest.param(1, ethernet(PACKET) + bytes(40), id="Ethernet with padding"),
        pytest.param(1, ethernet(PACKET, tags=bytes.fromhex("81000005")), id="VLAN"),
        pytest.param(
            1, ethernet(PACKET, tags=bytes.fromhex("88a8000581000006")), id="VLAN in VLAN"
        ),
        pytest.param(113, bytes(14) + b"\x08\x00" + PACKET, id="Linux cooked"),
        pytest.param(276, b"\x08\x00" + bytes(18) + PACKET, id="Linux cooked 2"),
        pytest.param(101, ipv4(udp(HELLO), options=b"\x94\x04\x00\x00"), id="IP options"),
        pytest.param(101, ipv4(udp(HELLO), total=0), id="length left to the network card"),
    ],
)
def test_a_datagram_is_found_in_ipv4(link: int, frame: bytes) -> None:
    (datagram,) = datagrams(pcap(frame, link=link))
    assert (datagram.source, datagram.destination) == (ALICE, BOB)
    assert datagram.data == HELLO
    assert not datagram.is_cut


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        pytest.param(101, PACKET_V6, id="raw"),
        pytest.param(229, PACKET_V6, id="IPv6"),
        pytest.param(0, struct.pack(">I", 30) + PACKET_V6, id="null, of a Mac"),
        pytest.param(1, ethernet(PACKET_V6, 0x86DD), id="Ethernet"),
        pytest.param(
            101,
            ipv6(b"\x3c\x00" + bytes(6) + b"\x11\x01" + bytes(14) + PACKET_V6[40:], 0),
            id="hop-by-hop and destination options",
        ),
        pytest.param(
            101, ipv6(b"\x11\x04" + bytes(22) + PACKET_V6[40:], 51), id="authentication header"
        ),
        pytest.param(
            101, ipv6(b"\x11\x00" + bytes(6) + PACKET_V6[40:], 44), id="the one and only fragment"
        ),
    ],
)
def test_a_datagram_is_found_in_ipv6(link: int, frame: bytes) -> None:
    (datagram,) = datagrams(pcap(frame, link=link))
    assert (datagram.source, datagram.destination) == (ALICE_V6, BOB_V6)
    assert datagram.data == HELLO


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_fragments_are_put_together_in_any_order(order: tuple[int, ...]) -> None:
    whole = udp(LONG)
    parts = [
        ipv4(whole[:1480], more=True),
        ipv4(whole[1480:2960], offset=1480, more=True),
        ipv4(whole[2960:], offset=2960),
    ]
    (datagram,) = datagrams(pcap(*(parts[n] for n in order)))
    assert datagram.data == LONG


def test_fragments_of_ipv6_are_put_together() -> None:
    whole = udp(LONG, ALICE_V6, BOB_V6)
    parts = [
        ipv6(struct.pack(">BBHI", 17, 0, place, 99) + part, 44)
        for place, part in ((1, whole[:1000]), (1000 | 1, whole[1000:2000]), (2000, whole[2000:]))
    ]
    (datagram,) = datagrams(pcap(*parts))
    assert (datagram.source, datagram.data) == (ALICE_V6, LONG)


def test_fragments_of_different_datagrams_are_kept_apart() -> None:
    one, two = udp(b"1" * 800), udp(b"2" * 800)
    found = datagrams(
        pcap(
            ipv4(one[:400], more=True, id=1),
            ipv4(two[:400], more=True, id=2),
            ipv4(two[400:], offset=400, id=2),
            ipv4(one[400:], offset=400, id=1),
        )
    )
    assert [datagram.data[:1] for datagram in found] == [b"2", b"1"]


def test_a_fragment_that_comes_twice_does_no_harm() -> None:
    whole = udp(LONG)
    first, last = ipv4(whole[:1600], more=True), ipv4(whole[1600:], offset=1600)
    assert [each.data for each in datagrams(pcap(first, first, last))] == [LONG]


def test_fragments_that_overlap_are_given_up() -> None:
    whole = udp(LONG)
    capture = opened(
        pcap(
            ipv4(whole[:1600], more=True),
            # As many bytes as are wanted, but not those.
            ipv4(whole[800:1600], offset=800, more=True),
            ipv4(whole[2400:], offset=2400),
        )
    )
    assert not list(capture)
    assert capture.skipped == {"IP datagrams of which a fragment is missing": 1}


def test_a_missing_fragment_is_told() -> None:
    capture = opened(pcap(ipv4(udp(LONG)[:1600], more=True), PACKET))
    assert [each.data for each in capture] == [HELLO]
    assert capture.skipped == {"IP datagrams of which a fragment is missing": 1}


def test_fragments_that_nothing_completes_do_not_fill_the_memory() -> None:
    """
    4 MB are held; the datagram begun first is given up before that is passed, later ones are not.
    """
    whole = udp(LONG)
    first, last = whole[:1600], whole[1600:]
    flood = [ipv4(bytes(60000), offset=80, more=True, id=100 + n) for n in range(80)]
    capture = opened(
        pcap(
            ipv4(first, more=True, id=1),
            *flood,
            ipv4(first, more=True, id=2),
            ipv4(last, offset=1600, id=1),
            ipv4(last, offset=1600, id=2),
        )
    )
    assert [each.data for each in capture] == [LONG]
    assert capture.skipped["IP datagrams of which a fragment is missing"] == 82


@pytest.mark.parametrize(("small", "completed"), [(19_000, 1), (21_000, 0)])
def test_small_fragments_cost_more_than_their_bytes(small: int, completed: int) -> None:
    """
    Each is reckoned with 200 bytes besides its own, so that some 20000 are held, not 500000.
    """
    whole = udp(LONG)
    flood = [
        ipv4(b"12345678", offset=80 + 8 * (n % 4096), more=True, id=100 + n // 4096)
        for n in range(small)
    ]
    first, last = ipv4(whole[:1600], more=True, id=1), ipv4(whole[1600:], offset=1600, id=1)
    assert len(list(opened(pcap(first, *flood, last)))) == completed


def test_a_fragment_past_the_longest_datagram_is_given_up() -> None:
    first = udp(HELLO) + bytes(32760 - 8 - len(HELLO))
    capture = opened(
        pcap(
            ipv4(first, more=True),
            ipv4(bytes(32760), offset=32760, more=True),
            ipv4(bytes(16), offset=65520),
        )
    )
    assert not list(capture)
    assert capture.skipped == {"IP datagrams of which a fragment is missing": 1}


@pytest.mark.parametrize(
    ("link", "frame", "reason"),
    [
        pytest.param(105, b"?", "of link type 105, which is not known here", id="Wi-Fi"),
        pytest.param(1, ethernet(bytes(28), 0x0806), "not IP", id="ARP"),
        pytest.param(1, bytes(9), "not IP", id="a stump"),
        pytest.param(101, b"", "not IP", id="nothing"),
        pytest.param(101, ipv4(b"", protocol=6), "not UDP", id="TCP"),
        pytest.param(101, ipv6(bytes(8), 58), "not UDP", id="ICMPv6"),
        pytest.param(101, PACKET[:19], "cut off in the IP header", id="IPv4 cut off"),
        pytest.param(101, PACKET_V6[:39], "cut off in the IP header", id="IPv6 cut off"),
        pytest.param(
            101, ipv6(b"\x11\x00", 0), "cut off in the IP header", id="an extension cut off"
        ),
        pytest.param(101, PACKET[:27], "cut off in the UDP header", id="UDP cut off"),
        pytest.param(
            101, b"\x44" + PACKET[1:], "IP with lengths that cannot be", id="header of 16 bytes"
        ),
        pytest.param(
            101,
            ipv4(udp(HELLO), total=19),
            "IP with lengths that cannot be",
            id="shorter than its header",
        ),
        pytest.param(
            101,
            ipv4(struct.pack(">HHHH", 1, 2, 7, 0)),
            "UDP with a length that cannot be",
            id="UDP of 7 bytes",
        ),
        pytest.param(
            101,
            ipv4(struct.pack(">HHHH", 1, 2, 9, 0)),
            "UDP with a length that cannot be",
            id="UDP longer than its packet",
        ),
        pytest.param(
            101,
            ipv4(bytes(99), more=True)[:60],
            "an IP fragment of which a part was captured",
            id="half a fragment",
        ),
    ],
)
def test_what_is_no_datagram_is_counted(link: int, frame: bytes, reason: str) -> None:
    assert skipped(frame, link) == {reason: 1}


def test_what_the_capture_cut_off_is_told() -> None:
    (datagram,) = datagrams(pcap(ethernet(ipv4(udp(LONG))), link=ETHERNET, snaplen=96))
    assert datagram.is_cut
    assert datagram.data == LONG[: 96 - 14 - 20 - 8]
    assert datagram.length == len(LONG)


def test_the_largest_frame_is_read() -> None:
    frame = ethernet(PACKET)
    frame += bytes(MAX_FRAME - len(frame))
    assert [each.data for each in datagrams(pcap(frame, link=ETHERNET))] == [HELLO]
