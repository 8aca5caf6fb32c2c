"""
Datagrams that the C# library made, read and written by ours to the last byte.

A case says in `kind` which way it was made; its name means nothing here.
"""

from __future__ import annotations

from typing import Any

import pytest

from p2pnet.serialization.writer import NetDataWriter
from p2pnet.wire.constants import MAX_SEQUENCE, PacketProperty
from p2pnet.wire.control import ConnectAccept, ConnectRequest
from p2pnet.wire.header import MalformedPacket, minimum_size, verify
from p2pnet.wire.nat import NatIntroduceResponse, NatPunch, parse_nat
from p2pnet.wire.packets import Ack, Channeled, Fragment, NatMessage, parse
from p2pnet.wire.sequence import distance
from p2pnet.wire.sockaddr import decode_sockaddr, encode_sockaddr
from tests.rudp.payloads import METHODS, noise
from tests.rudp.recording import address_of
from tests.vectors_dir import cases
from tests.wire.rewriting import assert_survives

_FILE = "packets.json"
_KINDS = (
    "header_size",
    "verify",
    "make_connect_request",
    "make_connect_accept",
    "make_fragment",
    "parse_connect_request",
    "parse_connect_accept",
    "fields",
    "relative_sequence",
    "captured",
)


def _every(*kinds: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases(_FILE, *kinds)]


def test_vector_kinds_are_all_known() -> None:
    assert {case["kind"] for case in cases(_FILE)} <= set(_KINDS)


@pytest.mark.parametrize("case", _every("header_size"))
def test_vector_of_a_header_size(case: dict[str, Any]) -> None:
    prop = _property(case["inputs"]["property"])
    assert prop == case["value"]
    assert minimum_size(prop) == case["header_size"]


@pytest.mark.parametrize("case", _every("verify"))
def test_vector_of_a_smallest_datagram(case: dict[str, Any]) -> None:
    prop, smallest = case["inputs"]["type"], case["min_size"]
    first = prop | (0x80 if case["inputs"]["fragmented"] else 0)
    if prop == 18:
        # It means nothing, and the reference lets it pass (PITFALLS D17).
        smallest = None
    for size in range(1, 64):
        datagram = bytes((first,)) + bytes(size - 1)
        if smallest is not None and size >= smallest:
            assert verify(datagram) == prop
        else:
            with pytest.raises(MalformedPacket):
                verify(datagram)


@pytest.mark.parametrize("case", _every("make_connect_request"))
def test_vector_of_a_connect_request_is_written(case: dict[str, Any]) -> None:
    inputs = case["inputs"]
    address = inputs["target_ip"], inputs["target_port"]
    target = encode_sockaddr(address)
    assert target.hex() == case["sockaddr_hex"]
    assert decode_sockaddr(target) == address
    writer = NetDataWriter()
    writer.put_string(inputs["key"])
    time = int(inputs["connect_time_ticks"])
    request = ConnectRequest(inputs["connection_number"], time, target, writer.data())
    assert request.encode().hex() == case["expected_hex"]
    assert parse(bytes.fromhex(case["expected_hex"])) == request


@pytest.mark.parametrize("case", _every("make_connect_accept"))
def test_vector_of_a_connect_accept_is_written(case: dict[str, Any]) -> None:
    inputs = case["inputs"]
    time = int(inputs["connect_time_ticks"])
    accept = ConnectAccept(time, inputs["connection_number"], inputs["reused"])
    assert accept.encode().hex() == case["expected_hex"]
    assert parse(bytes.fromhex(case["expected_hex"])) == accept


@pytest.mark.parametrize("case", _every("make_fragment"))
def test_vector_of_a_fragment_is_written(case: dict[str, Any]) -> None:
    inputs = case["inputs"]
    expected = bytes.fromhex(case["expected_hex"])
    packet = Channeled(
        inputs["connection_number"],
        inputs["sequence"],
        inputs["channel"],
        expected[10:],
        Fragment(inputs["fragment_id"], inputs["part"], inputs["total"]),
    )
    assert packet.encode().hex() == expected.hex()
    assert parse(expected) == packet


@pytest.mark.parametrize("case", _every("parse_connect_request"))
def test_vector_of_a_connect_request_is_read(case: dict[str, Any]) -> None:
    data, result = bytes.fromhex(case["inputs"]["hex"]), case["result"]
    _check_verify(data, case["verify"])
    # The reference completes an address that is cut off from an old buffer (PITFALLS A4).
    cut_off = result is not None and len(data) < 14 + data[13]
    if result is None or cut_off:
        with pytest.raises(MalformedPacket):
            parse(data)
        return
    packet = parse(data)
    assert packet == ConnectRequest(
        result["connection_number"],
        int(result["connect_time_ticks"]),
        bytes.fromhex(result["target_hex"]),
        bytes.fromhex(result["data_hex"] or ""),
        result["protocol_id"],
    )
    assert ConnectRequest.protocol_of(data) == result["protocol_id"]
    assert_survives(data)


@pytest.mark.parametrize("case", _every("parse_connect_accept"))
def test_vector_of_a_connect_accept_is_read(case: dict[str, Any]) -> None:
    data, result = bytes.fromhex(case["inputs"]["hex"]), case["result"]
    _check_verify(data, case["verify"])
    if result is None:
        with pytest.raises(MalformedPacket):
            parse(data)
        return
    assert parse(data) == ConnectAccept(
        int(result["connect_time_ticks"]), result["connection_number"], result["reused"]
    )
    assert_survives(data)


@pytest.mark.parametrize("case", _every("fields"))
def test_vector_of_header_fields_is_read(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["inputs"]["hex"])
    assert verify(data) == _property(case["property"])
    if case["property"] == "Channeled" and case["sequence"] >= MAX_SEQUENCE:
        # No sender gives such a sequence, every receiver drops it (WIRE §4.2).
        with pytest.raises(MalformedPacket):
            parse(data)
        return
    packet = parse(data)
    assert isinstance(packet, Channeled | Ack)
    assert packet.connection_number == case["connection_number"]
    assert packet.sequence == case["sequence"]
    assert packet.channel_id == case["channel"]
    fragment = packet.fragment if isinstance(packet, Channeled) else None
    if case["fragmented"]:
        expected = case["fragment_id"], case["fragment_part"], case["fragments_total"]
        assert fragment == Fragment(*expected)
    else:
        assert fragment is None
    assert_survives(data)


@pytest.mark.parametrize("case", _every("relative_sequence"))
def test_vector_of_sequence_distances(case: dict[str, Any]) -> None:
    for number, base, expected in case["rows"]:
        # Beyond, the reference takes C's remainder of what never is on the wire.
        if number < MAX_SEQUENCE and base < MAX_SEQUENCE:
            assert (number, base, distance(number, base)) == (number, base, expected)


@pytest.mark.parametrize("case", _every("captured"))
def test_vector_of_a_captured_datagram(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["expected_hex"])
    assert len(data) == case["length"]
    assert verify(data) == case["type"] == _property(case["type_name"])
    assert_survives(data)
    packet = parse(data)
    for name, value in case["inputs"].items():
        _check_input(name, value, packet, case["inputs"])


def _check_input(name: str, value: Any, packet: object, inputs: dict[str, Any]) -> None:
    """
    Check that a packet says what the library was told to say.
    """
    if isinstance(packet, NatMessage):
        (packet,) = parse_nat(packet.body)
    if name == "connect_time_ticks":
        assert getattr(packet, "connection_time", None) == int(value)
    elif name in ("connection_number", "sequence", "size", "token"):
        if hasattr(packet, name):
            assert getattr(packet, name) == value
    elif name in ("payload_hex", "data_hex"):
        assert getattr(packet, "data", None) == bytes.fromhex(value)
    elif name == "channel_byte":
        assert isinstance(packet, Ack)
        assert packet.channel_id == value
    elif name == "channel" and isinstance(packet, Channeled):
        assert packet.channel_id == value * 4 + METHODS[inputs["method"]]
    elif name == "message_size" and isinstance(packet, Channeled):
        fragment = packet.fragment
        assert fragment is not None
        room = inputs["mtu"] - 10
        message = noise(value, inputs["lcg_seed"])
        start = fragment.part * room
        assert packet.data == message[start : start + room]
        assert fragment.total == -(-value // room)
    elif name == "internal":
        assert getattr(packet, "internal", None) == address_of(value)
    elif name == "external" and isinstance(packet, NatPunch):
        assert packet.is_external == value
    elif name == "external":
        assert isinstance(packet, NatIntroduceResponse)
        assert packet.external == address_of(value)
    elif name == "key":
        writer = NetDataWriter()
        writer.put_string(value)
        assert isinstance(packet, ConnectRequest)
        assert packet.data == writer.data()
    elif name == "port" and isinstance(packet, ConnectRequest):
        assert packet.target == encode_sockaddr((inputs["host"], value))


def _check_verify(data: bytes, passes: bool) -> None:
    if passes:
        verify(data)
    else:
        with pytest.raises(MalformedPacket):
            verify(data)


def _property(name: str) -> PacketProperty:
    return next(
        prop for prop in PacketProperty if prop.name.replace("_", "").lower() == name.lower()
    )

