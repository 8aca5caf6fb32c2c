"""
What every recorded datagram says, and what is printed about it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from p2pnet.dissect import Datagram, Dissector, Reading, json_line, text_lines
from p2pnet.serialization.typehash import type_hash
from p2pnet.wire.constants import Address, PacketProperty
from p2pnet.wire.control import MtuProbe, Pong
from p2pnet.wire.header import minimum_size
from p2pnet.wire.layers import Crc32cLayer, PacketLayer, XorEncryptLayer, named_layer
from p2pnet.wire.nat import NatIntroduceRequest, NatIntroduceResponse, NatPunch
from p2pnet.wire.packets import Ack, Channeled, Fragment, Merged, Unreliable
from tests.dissect.writing import ALICE, BOB, NOON
from tests.vectors_dir import cases, transcripts

NOON_TICKS = 639079632000000000


def datagram(data: bytes, destination: Address = BOB, length: int | None = None) -> Datagram:
    time = NOON * 10**9 + 123_456_789
    return Datagram(time, ALICE, destination, data, len(data) if length is None else length)


def read(data: bytes, layer: PacketLayer | None = None) -> Reading:
    return Dissector(layer).read(datagram(data))


def line(data: bytes) -> str:
    """
    What is printed about a datagram, without time and addresses.
    """
    (printed,) = text_lines(datagram(data), read(data))
    head = "12:00:00.123456 192.0.2.1:9050 > 192.0.2.2:41204 "
    assert printed.startswith(head)
    return printed.removeprefix(head)


# ------------------------------------------------------- recordings


def _recorded() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in transcripts()]


@pytest.mark.parametrize("path", _recorded())
def test_recorded_datagrams_are_read_as_their_recorder_did(path: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    dissector = Dissector(named_layer(document["layer"]))
    for recorded in document["datagrams"]:
        reading = dissector.read(datagram(bytes.fromhex(recorded["hex"])))
        told = recorded.get("is")
        if told is None:
            # The recorder left out what goes to and comes from time servers.
            assert reading.kind == "NTP", recorded
        elif told == "not a valid layer datagram":
            # The reference sends NAT messages past its layer.
            assert reading.kind in ("NatMessage", "Empty"), recorded
        else:
            assert_agrees(reading, told)


def assert_agrees(reading: Reading, told: str) -> None:
    """
    Check a reading against the recorder's, as in ``Merged [Ping seq=2 | Unreliable len=1]``.
    """
    if told.startswith(("undecodable", "type", "zero-length")):
        assert "malformed" in reading.fields, told
        return
    kind, _, rest = told.partition(" ")
    assert reading.kind == kind, told
    if kind == "Merged" and not rest:
        # One inside another, which nobody opens.
        return
    if kind == "Merged":
        listed = rest[rest.index("[") + 1 : -1]
        parts = listed.split(" | ") if listed else []
        long = re.search(r"\.\.\. (\d+) parts \.\.\.", rest)
        # Of many parts it shows the first ones, and the last.
        count = int(long[1]) if long else len(parts)
        assert len(reading.inside) == count or "malformed" in reading.fields, told
        for inside, part in zip(reading.inside, parts, strict=False):
            if part.startswith("..."):
                assert_agrees(reading.inside[-1], parts[-1])
                break
            assert_agrees(inside, part)
        return
    if "malformed" in reading.fields:
        return
    fields = reading.fields
    given = dict(re.findall(r"(\w+)=(\S+)", rest))
    for name, ours in (
        *(("time", "connection_time"), ("proto", "protocol"), ("ticks", "clock")),
        *(("id", "fragment"), ("mtu", "mtu"), ("data", "size"), ("start", "window")),
    ):
        if name in given:
            assert fields[ours] == int(given[name]), told
    if "seq" in given and kind != "Ack":
        assert fields["sequence"] == int(given["seq"]), told
    if "part" in given:
        assert (fields["part"], fields["total"]) == tuple(map(int, given["part"].split("/"))), told
    if "slots" in given:
        start = fields["window"]
        assert isinstance(start, int)
        assert isinstance(fields["arrived"], tuple)
        slots = {int(each) for each in expanded(given["slots"])}
        assert {each % 64 for each in fields["arrived"]} == slots, told
    if "(" in given.get("ch", ""):
        method, channel = re.findall(r"\((\w+)#(\d+)\)", given["ch"])[0]
        assert (fields["method"], fields["channel"]) == (method, int(channel)), told
    number = re.search(r"\bn([1-3])\b", rest)
    if "connection" in fields and kind != "ConnectAccept":
        assert fields["connection"] == (int(number[1]) if number else 0), told


def expanded(ranges: str) -> list[int]:
    """
    The numbers in ``{0-2,5}``.
    """
    found: list[int] = []
    for part in filter(None, ranges.strip("{}").split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _packets() -> list[Any]:
    """
    The cases that have bytes, and those bytes.
    """
    found = []
    for case in cases("packets.json"):
        text = case.get("expected_hex") or case["inputs"].get("hex")
        if text is not None:
            found.append(pytest.param(case, bytes.fromhex(text), id=case["name"]))
    return found


@pytest.mark.parametrize(("case", "data"), _packets())
def test_vectors_of_packets_are_read(case: dict[str, Any], data: bytes) -> None:
    reading = read(data)
    number = data[0] & 0x1F
    name = PacketProperty(number).name.replace("_", "").lower()
    assert reading.kind.lower() == name
    if case["kind"] == "parse_connect_request" and case["result"] is None:
        assert "malformed" in reading.fields
    elif case["kind"] == "parse_connect_request" and "malformed" not in reading.fields:
        assert reading.fields["data"] == bytes.fromhex(case["result"]["data_hex"] or "")
    elif case["kind"] == "captured":
        assert "malformed" not in reading.fields


# ------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("006869", "Unreliable connection=0 size=2 data=b'hi'"),
        (
            "61 0500 0b 6869",
            "Channeled connection=3 channel=2 method=ReliableSequenced sequence=5 size=2 "
            "data=b'hi'",
        ),
        (
            "81 0100 02 0900 0100 0300 6f74",
            "Channeled connection=0 channel=0 method=ReliableOrdered sequence=1 fragment=9 part=1 "
            "total=3 size=2 data=b'ot'",
        ),
        (
            "02 0000 02 0b00000000000000 00",
            "Ack connection=0 channel=0 method=ReliableOrdered window=0 arrived=0-1,3",
        ),
        (
            "22 0000 06 0000000000000000 00",
            "Ack connection=1 channel=1 method=ReliableOrdered window=0 arrived=none",
        ),
        (
            "02 0300 03",
            "Ack connection=0 channel=0 method=ReliableSequenced sequence=3",
        ),
        (
            "02 0300 02",
            "Ack connection=0 channel=0 method=ReliableOrdered "
            "malformed='an Ack of the other kind of channel' sequence=3",
        ),
        ("03 0200", "Ping connection=0 sequence=2"),
        (
            "04 0200 80b624118a77de08",
            "Pong connection=0 sequence=2 clock=2026-03-01T12:00:01.0000000Z",
        ),
        (
            "05 0c000000 00208c108a77de08 10 0200235ac00002070000000000000000 03000000746561",
            "ConnectRequest connection=0 protocol=12 connection_time=2026-03-01T12:00:00.0000000Z "
            r"target=192.0.2.7:9050 size=7 data=b'\x03\x00\x00\x00tea'",
        ),
        (
            "06 01208c108a77de08 01 00",
            "ConnectAccept connection=1 connection_time=2026-03-01T12:00:00.0000001Z reused=no",
        ),
        (
            "07 00208c108a77de08 66756c6c",
            "Disconnect connection=0 connection_time=2026-03-01T12:00:00.0000000Z "
            "size=4 data=b'full'",
        ),
        ("08 6869", "UnconnectedMessage size=2 data=b'hi'"),
        ("0b 6869", "Broadcast size=2 data=b'hi'"),
        ("0d", "ShutdownOk"),
        ("0e", "PeerNotFound"),
        (
            "0e 01 00208c108a77de08",
            "PeerNotFound connection_time=2026-03-01T12:00:00.0000000Z confirmed=yes",
        ),
        ("0f", "InvalidProtocol"),
        ("11", "Empty"),
        ("12", r"Malformed malformed='unknown property 18' size=1 data=b'\x12'"),
        ("", "Malformed malformed='empty datagram' size=0 data=b''"),
        (
            "01 0080 02",
            r"Channeled malformed='sequence 32768' size=4 data=b'\x01\x00\x80\x02'",
        ),
    ],
)
def test_a_line_says_what_a_datagram_says(data: str, expected: str) -> None:
    assert line(bytes.fromhex(data)) == expected


def test_a_line_tells_the_size_that_is_tried() -> None:
    assert line(MtuProbe(1, 1392).encode()) == "MtuCheck connection=1 mtu=1392"
    assert line(MtuProbe(0, 508, True).encode()) == "MtuOk connection=0 mtu=508"


def test_an_ack_around_the_last_sequence_is_told_in_order() -> None:
    bitmap = sum(1 << sequence % 64 for sequence in (32766, 32767, 0, 1, 3))
    shown = line(Ack(0, 32760, 2, bitmap).encode())
    assert shown.endswith("window=32760 arrived=32766-1,3")


def test_packets_inside_stand_below_and_are_indented() -> None:
    merged = Merged(1, (Unreliable(1, b"a").encode(), Channeled(1, 0, 2, b"b").encode()))
    first, *others = text_lines(datagram(merged.encode()), read(merged.encode()))
    assert first.endswith("> 192.0.2.2:41204 Merged connection=1")
    assert others == [
        "    Unreliable connection=1 size=1 data=b'a'",
        "    Channeled connection=1 channel=0 method=ReliableOrdered sequence=0 size=1 data=b'b'",
    ]


def test_what_is_no_packet_at_the_end_of_a_merged_datagram_is_told() -> None:
    whole = Merged(0, (b"\x0d", b"\x0d")).encode()
    assert "malformed" not in read(whole).fields
    reading = read(whole + b"\x05\x00\x0d")
    assert reading.fields["malformed"] == "3 bytes at the end are no packet"
    assert len(reading.inside) == 2


def test_a_merged_datagram_inside_another_is_not_opened() -> None:
    nested = b"\x0d"
    for _ in range(5000):
        nested = Merged(0, (nested,)).encode()
    reading = read(nested)
    (inner,) = reading.inside
    assert inner.fields["malformed"] == "a Merged inside a Merged"
    assert not inner.inside


def test_nat_messages_are_told_with_addresses_and_token() -> None:
    home, world = ("10.0.0.5", 4000), ("2001:db8::9", 5000)
    for packet, expected in (
        (NatIntroduceRequest(home, "tok"), "NatIntroduceRequest internal=10.0.0.5:4000 token=tok"),
        (
            NatIntroduceResponse(home, world, "t k"),
            "NatIntroduceResponse internal=10.0.0.5:4000 external=[2001:db8::9]:5000 token='t k'",
        ),
        (NatPunch("tok", True), "NatPunch external=yes token=tok"),
    ):
        _, second = text_lines(datagram(packet.encode()), read(packet.encode()))
        assert second.strip() == expected


def test_what_strangers_send_reaches_no_terminal() -> None:
    evil = "\x1b[2J\u202e\r\n' connection=7"
    for data in (
        Unreliable(0, evil.encode()).encode(),
        NatPunch(evil, True).encode(),
        b"\x1b" + evil.encode(),
    ):
        reading = read(data)
        for shown in (*text_lines(datagram(data), reading), json_line(datagram(data), reading)):
            assert shown.isascii()
            assert shown.isprintable()
    shown = line(Unreliable(0, evil.encode()).encode())
    assert shown.startswith(r"""Unreliable connection=0 size=23 data=b"\x1b[2J\xe2\x80\xae\r\n' """)


def test_a_long_message_is_cut() -> None:
    data = Unreliable(0, b"x" * 40).encode()
    reading = read(data)
    (shown,) = text_lines(datagram(data), reading, 3)
    assert shown.endswith("size=40 data=b'xxx'+37")
    (shown,) = text_lines(datagram(data), reading, 40)
    assert shown.endswith(f"data=b'{'x' * 40}'")


@pytest.mark.parametrize("ticks", [-1, 3_155_378_976_000_000_000, 1 << 62])
def test_a_moment_out_of_every_calendar_stays_a_number(ticks: int) -> None:
    assert line(Pong(0, 2, ticks).encode()) == f"Pong connection=0 sequence=2 clock={ticks}"


def test_the_last_moment_of_all_calendars_is_told() -> None:
    shown = line(Pong(0, 2, 3_155_378_975_999_999_999).encode())
    assert shown.endswith("clock=9999-12-31T23:59:59.9999999Z")


def test_json_holds_everything() -> None:
    packet = Channeled(1, 7, 2, b"\x00\xff", Fragment(3, 0, 2)).encode()
    data = Merged(1, (packet, Ack(1, 0, 2, 5).encode())).encode()
    told = json.loads(json_line(datagram(data), read(data)))
    assert told.pop("time") == pytest.approx(NOON + 0.123456789, abs=1e-6)
    assert told == {
        "source": "192.0.2.1:9050",
        "destination": "192.0.2.2:41204",
        "length": len(data),
        "kind": "Merged",
        "connection": 1,
        "packets": [
            {
                "kind": "Channeled",
                "connection": 1,
                "channel": 0,
                "method": "ReliableOrdered",
                "sequence": 7,
                "fragment": 3,
                "part": 0,
                "total": 2,
                "size": 2,
                "data": "00ff",
            },
            {
                "kind": "Ack",
                "connection": 1,
                "channel": 0,
                "method": "ReliableOrdered",
                "window": 0,
                "arrived": [0, 2],
            },
        ],
    }


def test_json_holds_moments_as_ticks() -> None:
    data = Pong(0, 2, NOON_TICKS).encode()
    assert json.loads(json_line(datagram(data), read(data)))["clock"] == NOON_TICKS


def test_messages_of_named_packet_types_are_told_by_their_name() -> None:
    dissector = Dissector(packet_names=["Game.Net.PlayerJoin", "Game.Net.Other"])
    body = type_hash("Game.Net.PlayerJoin").to_bytes(8, "little") + b"rest"
    for packet in (
        Unreliable(0, body),
        Channeled(0, 1, 2, body),
        Channeled(0, 1, 2, body, Fragment(1, 0, 2)),
    ):
        reading = dissector.read(datagram(packet.encode()))
        assert reading.fields["packet"] == "Game.Net.PlayerJoin"
    for other in (
        Unreliable(0, body[:7]),
        Unreliable(0, b"?" + body),
        Channeled(0, 1, 2, body, Fragment(1, 1, 2)),
    ):
        assert "packet" not in dissector.read(datagram(other.encode())).fields


# ------------------------------------------------------- cut by the capture


def test_what_was_captured_of_a_message_is_read() -> None:
    data = Channeled(0, 1, 2, b"hello").encode()
    cut = datagram(data[:6], length=len(data))
    (shown,) = text_lines(cut, Dissector().read(cut))
    assert shown.endswith("sequence=1 size=2 data=b'he' captured=6/9")
    assert json.loads(json_line(cut, Dissector().read(cut)))["captured"] == 6


@pytest.mark.parametrize("data", [Ack(0, 0, 2, 1).encode(), MtuProbe(0, 1024).encode()])
def test_what_means_nothing_without_its_end_is_named_only(data: bytes) -> None:
    kind = read(data).kind
    assert Dissector().read(datagram(data[:4], length=len(data))) == Reading(kind, {})


def test_a_header_cut_off_by_the_capture_is_no_fault_of_the_sender() -> None:
    reading = Dissector().read(datagram(b"\x05\x0b", length=50))
    assert (reading.kind, reading.fields["malformed"]) == (
        "ConnectRequest",
        "cut off by the capture",
    )


def test_a_merged_datagram_cut_off_shows_the_whole_packets() -> None:
    data = Merged(0, (b"\x0d", b"\x03\x02\x00")).encode()
    reading = Dissector().read(datagram(data[:-1], length=len(data)))
    assert [inner.kind for inner in reading.inside] == ["ShutdownOk"]
    assert "malformed" not in reading.fields


# ------------------------------------------------------- layers and time servers


@pytest.mark.parametrize("layer", [Crc32cLayer(), XorEncryptLayer("tea")])
def test_a_packet_layer_is_taken_off(layer: PacketLayer) -> None:
    data = layer.outbound(Unreliable(0, b"hello").encode())
    assert read(data, layer).fields["data"] == b"hello"
    assert read(data).fields.get("data") != b"hello"
    cut = datagram(data[:4], length=len(data))
    assert Dissector(layer).read(cut).fields["data"] == b"hel"


def test_what_was_captured_of_a_checksum_is_no_part_of_the_message() -> None:
    data = Crc32cLayer().outbound(Unreliable(0, b"hello").encode())
    cut = datagram(data[:-1], length=len(data))
    assert Dissector(Crc32cLayer()).read(cut).fields["data"] == b"hello"


def test_what_a_layer_drops_is_told() -> None:
    reading = read(b"\x0d1234", Crc32cLayer())
    assert reading.fields["malformed"] == "the packet layer drops it"


def test_nat_messages_beside_a_layer_are_read() -> None:
    punch = NatPunch("tok", False).encode()
    for layer in (Crc32cLayer(), XorEncryptLayer("tea")):
        assert read(punch, layer).kind == "NatMessage"
        assert read(layer.outbound(punch), layer).kind == "NatMessage"
        assert read(b"\x11", layer).kind == "Empty"


def _ntp_cases() -> list[Any]:
    return [
        pytest.param(case, id=case["name"])
        for case in cases("ntp.json")
        if len(case["inputs"].get("hex") or "") == 96
    ]


@pytest.mark.parametrize("case", _ntp_cases())
def test_packets_of_time_servers_are_known_by_their_port(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["inputs"]["hex"])
    to_server = datagram(data, destination=("192.0.2.2", 123))
    assert Dissector().read(to_server).kind == "NTP"


def test_an_answer_of_a_time_server_is_told() -> None:
    answer = bytes.fromhex(
        "240202e9000000000000000047505300eab1000000000000"
        "0123456789abcdefed4ea8c000000000ed4ea8c080000000"
    )
    assert line(answer) == (
        "NTP mode=Server version=4 stratum=2 origin=0123456789abcdef "
        "receive=2026-03-01T12:00:00.0000000Z transmit=2026-03-01T12:00:00.5000000Z"
    )
    assert "stratum=16" in line(answer[:1] + b"\x10" + answer[2:])
    assert line(answer[:1] + b"\x11" + answer[2:]).startswith("Pong")
    refusal = answer[:1] + b"\0" + answer[2:12] + b"DENY" + answer[16:]
    assert "stratum=0 refused=b'DENY'" in line(refusal)


@pytest.mark.parametrize(
    # Nobody sends these two in 48 bytes.
    "prop",
    sorted(set(PacketProperty) - {PacketProperty.PING, PacketProperty.PONG}),
)
def test_a_packet_of_48_bytes_is_no_time_server(prop: PacketProperty) -> None:
    for number in range(4):
        data = bytes((prop | number << 5,)) + bytes(47)
        assert minimum_size(prop) <= len(data)
        assert read(data).kind != "NTP"
