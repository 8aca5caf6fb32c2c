"""
NAT introduction messages are read whole or refused (WIRE §8, PITFALLS B7).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.serialization import NetDataWriter
from p2pnet.serialization.typehash import type_hash
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.nat import NatIntroduceRequest, NatIntroduceResponse, NatPunch, parse_nat

HOME = ("10.0.0.1", 4001)
OUTSIDE = ("2001:db8::7", 65535)
NOBODY = ("10.0.0.1", 0)


@pytest.mark.parametrize(
    "packet",
    [
        NatIntroduceRequest(HOME, "token"),
        NatIntroduceResponse(HOME, OUTSIDE, "töken"),
        NatPunch("", True),
        NatPunch("x" * 256, False),
    ],
)
def test_a_message_is_read_as_it_was_sent(
    packet: NatIntroduceRequest | NatIntroduceResponse | NatPunch,
) -> None:
    body = packet.encode()[1:]
    assert parse_nat(body) == [packet]
    assert parse_nat(body + body) == [packet, packet]
    for length in range(len(body)):
        with pytest.raises(MalformedPacket):
            parse_nat(body[:length])


@pytest.mark.parametrize(
    "packet",
    [
        NatIntroduceRequest(NOBODY, "token"),
        NatIntroduceResponse(NOBODY, HOME, "token"),
        NatIntroduceResponse(HOME, NOBODY, "token"),
    ],
)
def test_a_message_that_names_port_0_is_refused(
    packet: NatIntroduceRequest | NatIntroduceResponse,
) -> None:
    """
    It can be written and read as any endpoint, but nobody can be reached there.
    """
    with pytest.raises(MalformedPacket, match=r"port 0 of 10\.0\.0\.1"):
        parse_nat(packet.encode()[1:])


def test_a_message_that_names_a_host_is_refused() -> None:
    writer = NetDataWriter()
    writer.put_ulong(type_hash("LiteNetLib.NatPunchModule+NatIntroduceRequestPacket"))
    writer.put_string("example.com")
    writer.put_int(80)
    writer.put_string("token")
    with pytest.raises(MalformedPacket, match=r"'example\.com' is no IP"):
        parse_nat(writer.data())


@pytest.mark.parametrize("token", ["x" * 257, "€" * 171, "😀" * 129])
def test_a_token_that_not_every_peer_can_read_is_not_sent(token: str) -> None:
    with pytest.raises(ValueError, match="256 are allowed"):
        NatPunch(token, True).encode()


@given(st.binary(max_size=80))
def test_whatever_arrives_is_a_message_or_malformed(body: bytes) -> None:
    try:
        packets = parse_nat(body)
    except MalformedPacket:
        return
    assert packets
