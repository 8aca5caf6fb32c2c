"""
Packet layers, on their own.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.wire.control import Ping
from p2pnet.wire.layers import AuthenticatedLayer, Crc32cLayer, PacketLayer, XorEncryptLayer
from tests.vectors_dir import cases

KEYS = st.one_of(st.binary(min_size=1, max_size=40), st.text("kéy鍵", min_size=1))


def layer_named(name: str) -> PacketLayer:
    """
    The layer that a recording calls by this name.
    """
    kind, _, key = name.partition(":")
    match kind:
        case "crc32c":
            return Crc32cLayer()
        case "xor":
            return XorEncryptLayer(key)
        case "xorhex":
            return XorEncryptLayer(bytes.fromhex(key))
        case "xornull" | "none":
            # C# has an XorEncryptLayer without a key; here that is what every layer derives from.
            return PacketLayer()
    raise AssertionError(f"no layer is called {name}")


@pytest.mark.parametrize("case", cases("layers.json"), ids=lambda case: case["name"])
def test_layer_vector(case: Any) -> None:
    if "throws" in case:
        with pytest.raises(ValueError, match="empty key"):
            layer_named(case["layer"])
        return
    layer = layer_named(case["layer"])
    assert layer.overhead == case.get("extra_packet_size", layer.overhead)
    datagram = case["inputs"].get("datagram_hex")
    if "outbound" in case:
        sent = layer.outbound(bytes.fromhex(case["inputs"]["packet_hex"]))
        assert sent.hex() == case["outbound"]["datagram_hex"]
        datagram = sent.hex()
    if "inbound" in case:
        received = layer.inbound(bytes.fromhex(datagram))
        # What is None or empty goes no further.
        assert (not received) == case["inbound"]["dropped"]
        assert (received or b"").hex() == case["inbound"]["packet_hex"]


@given(st.binary(min_size=1, max_size=2000))
def test_what_a_checksum_was_added_to_comes_back(data: bytes) -> None:
    layer = Crc32cLayer()
    sent = layer.outbound(data)
    assert len(sent) == len(data) + layer.overhead
    assert layer.inbound(sent) == data


@given(st.binary(min_size=1, max_size=200), st.integers(0, 10_000))
def test_a_damaged_datagram_is_dropped(data: bytes, where: int) -> None:
    layer = Crc32cLayer()
    damaged = bytearray(layer.outbound(data))
    damaged[where % len(damaged)] ^= 1 << where % 8
    assert layer.inbound(bytes(damaged)) is None


@given(st.binary(max_size=4))
def test_what_is_too_short_for_a_checksum_is_dropped(data: bytes) -> None:
    assert Crc32cLayer().inbound(data) is None


def test_a_checksum_of_nothing_is_dropped() -> None:
    """
    Four zero bytes are the right checksum of an empty datagram, which means nothing.
    """
    assert Crc32cLayer().inbound(Crc32cLayer().outbound(b"")) is None


@given(KEYS, st.binary(max_size=3000))
def test_a_key_is_applied_anew_to_every_datagram(key: bytes | str, data: bytes) -> None:
    layer = XorEncryptLayer(key)
    raw = key.encode() if isinstance(key, str) else key
    sent = layer.outbound(data)
    assert sent == bytes(byte ^ raw[i % len(raw)] for i, byte in enumerate(data))
    assert sent == layer.outbound(data)
    assert layer.inbound(sent) == data


@pytest.mark.parametrize("key", [b"", ""])
def test_an_empty_key_is_refused(key: bytes | str) -> None:
    with pytest.raises(ValueError, match="empty key"):
        XorEncryptLayer(key)


def test_one_known_datagram_shows_the_key() -> None:
    """
    Why the layer is no encryption.
    """
    known = Ping(0, 2).encode()
    sent = XorEncryptLayer(b"key").outbound(known)
    assert bytes(a ^ b for a, b in zip(sent, known, strict=True)) == b"key"


def test_a_layer_of_ones_own_overrides_what_differs() -> None:
    class Signed(PacketLayer):
        overhead = 1

        def outbound(self, data: bytes) -> bytes:
            return data + b"!"

        def inbound(self, data: bytes) -> bytes | None:
            return data[:-1] if data.endswith(b"!") else None

    layer: PacketLayer = Signed()
    assert layer.inbound(layer.outbound(b"\x0d")) == b"\x0d"
    assert layer.inbound(b"\x0d") is None
    assert PacketLayer().inbound(PacketLayer().outbound(b"\x0d")) == b"\x0d"


def test_only_who_knows_the_key_is_heard() -> None:
    layer = AuthenticatedLayer(b"between us")
    tagged = layer.outbound(b"\x03\x02\x00")
    assert len(tagged) == 3 + layer.overhead
    assert layer.inbound(tagged) == b"\x03\x02\x00"
    assert AuthenticatedLayer(b"another").inbound(tagged) is None
    for i in range(len(tagged)):
        forged = bytearray(tagged)
        forged[i] ^= 1
        assert layer.inbound(bytes(forged)) is None
        assert layer.inbound(tagged[:i]) is None


@pytest.mark.parametrize("key", [b"", b"k" * 65])
def test_a_key_of_an_impossible_size_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match=f"a key of {len(key)} bytes"):
        AuthenticatedLayer(key)


def test_an_authenticated_datagram_has_these_bytes() -> None:
    tagged = AuthenticatedLayer(b"k").outbound(b"\x0d")
    assert tagged.hex() == "0d" "b19d81d9c9c0747f4e06f1d782c06fa6"
