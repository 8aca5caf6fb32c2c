"""
Values become the bytes that C# writes (examples printed by the reference: SERIALIZATION §1, §2).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from p2pnet.serialization import NetDataWriter

Put = Callable[[NetDataWriter], None]

EXAMPLES: list[tuple[Put, str]] = [
    (lambda w: w.put_bool(True), "01"),
    (lambda w: w.put_bool(False), "00"),
    (lambda w: w.put_byte(0), "00"),
    (lambda w: w.put_byte(255), "ff"),
    (lambda w: w.put_sbyte(-2), "fe"),
    (lambda w: w.put_sbyte(127), "7f"),
    (lambda w: w.put_sbyte(-128), "80"),
    (lambda w: w.put_short(-2), "feff"),
    (lambda w: w.put_short(-32768), "0080"),
    (lambda w: w.put_ushort(0x1234), "3412"),
    (lambda w: w.put_int(0x12345678), "78563412"),
    (lambda w: w.put_int(-1), "ffffffff"),
    (lambda w: w.put_uint(0x9ABCDEF0), "f0debc9a"),
    (lambda w: w.put_long(0x0102030405060708), "0807060504030201"),
    (lambda w: w.put_long(-1), "ff" * 8),
    (lambda w: w.put_ulong(0x9C66B1BF2610BE88), "88be1026bfb1669c"),
    (lambda w: w.put_float(1.5), "0000c03f"),
    (lambda w: w.put_double(-2.25), "00000000000002c0"),
    (lambda w: w.put_bytes(b"\1\2\3"), "010203"),
    (lambda w: w.put_bytes(b""), ""),
    (lambda w: w.put_bytes_with_length(b"\1\2\3"), "03000000 010203"),
    (lambda w: w.put_bytes_with_length(b""), "00000000"),
    (lambda w: w.put_string("abc"), "03000000 616263"),
    (lambda w: w.put_string(""), "00000000"),
    (lambda w: w.put_string("é€😀"), "09000000 c3a9 e282ac f09f9880"),
    (
        lambda w: w.put_endpoint(("192.168.1.20", 9050)),
        "0c000000 3139322e3136382e312e3230 5a230000",
    ),
    (lambda w: w.put_endpoint(("fe80::1%3", 1)), "09000000 666538303a3a312533 01000000"),
]


@pytest.mark.parametrize(("put", "expected"), EXAMPLES)
def test_a_value_becomes_the_bytes_that_the_reference_writes(put: Put, expected: str) -> None:
    writer = NetDataWriter()
    put(writer)
    assert writer.data() == bytes.fromhex(expected)
    assert len(writer) == len(bytes.fromhex(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ud83d", "03000000 efbfbd"),
        ("\ude00.", "04000000 efbfbd 2e"),
        ("a\udc00b", "05000000 61 efbfbd 62"),
        ("\ude00\ud83d", "06000000 efbfbd efbfbd"),
        ("\ud83d\ude00", "04000000 f09f9880"),
    ],
)
def test_lone_surrogates_are_replaced_and_pairs_joined(text: str, expected: str) -> None:
    writer = NetDataWriter()
    writer.put_string(text)
    assert writer.data() == bytes.fromhex(expected)


def test_values_stand_one_after_another_in_the_order_they_were_put() -> None:
    writer = NetDataWriter()
    for put, _ in EXAMPLES:
        put(writer)
    assert writer.data() == bytes.fromhex("".join(expected for _, expected in EXAMPLES))


def test_reset_forgets_everything_and_leaves_earlier_copies_alone() -> None:
    writer = NetDataWriter()
    writer.put_string("before")
    copy = writer.data()
    writer.reset()
    writer.put_byte(7)
    assert writer.data() == b"\7"
    assert copy == b"\6\0\0\0before"


@pytest.mark.parametrize("view", [bytearray(b"\1\2"), memoryview(b"\1\2")])
def test_any_run_of_bytes_can_be_put(view: bytearray | memoryview) -> None:
    writer = NetDataWriter()
    writer.put_bytes(view)
    writer.put_bytes_with_length(view)
    assert writer.data() == b"\1\2\2\0\0\0\1\2"


OUT_OF_RANGE: list[Put] = [
    lambda w: w.put_byte(-1),
    lambda w: w.put_byte(256),
    lambda w: w.put_sbyte(-129),
    lambda w: w.put_sbyte(128),
    lambda w: w.put_short(32768),
    lambda w: w.put_short(-32769),
    lambda w: w.put_ushort(-1),
    lambda w: w.put_ushort(65536),
    lambda w: w.put_int(2**31),
    lambda w: w.put_int(-(2**31) - 1),
    lambda w: w.put_uint(-1),
    lambda w: w.put_uint(2**32),
    lambda w: w.put_long(2**63),
    lambda w: w.put_ulong(-1),
    lambda w: w.put_ulong(2**64),
]


@pytest.mark.parametrize("put", OUT_OF_RANGE)
def test_a_number_out_of_range_is_refused_and_writes_nothing(put: Put) -> None:
    writer = NetDataWriter()
    writer.put_byte(9)
    with pytest.raises((ValueError, struct.error)):
        put(writer)
    assert writer.data() == b"\t"
