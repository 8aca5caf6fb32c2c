"""
Values come back as they were written.

Numbers are those of the reference's ReaderWriterSimpleDataTest, 27 to 49; its arrays are in
tests/serialization/test_round_trips.py, and 26 is in tests/serialization/test_processor.py.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from struct import pack, unpack
from typing import Any

import pytest

from p2pnet.serialization import NetDataReader, NetDataWriter

BUFFER_SIZE = 64
"""The reference reads its writer's whole buffer, not only what has been written to it."""

Put = Callable[[NetDataWriter, Any], None]
Get = Callable[[NetDataReader], object]

SINGLE: float = unpack("<f", pack("<f", 3.1415))[0]

CASES: list[tuple[int, Put, Get, list[Any]]] = [
    (27, NetDataWriter.put_bool, NetDataReader.get_bool, [True, False]),
    (29, NetDataWriter.put_byte, NetDataReader.get_byte, [8, 0, 255]),
    (
        30,
        NetDataWriter.put_bytes,
        lambda reader: reader.get_bytes(7),
        [bytes([1, 2, 4, 8, 16, 255, 0])],
    ),
    (31, NetDataWriter.put_double, NetDataReader.get_double, [3.1415, -0.0, 5e-324, inf]),
    (33, NetDataWriter.put_float, NetDataReader.get_float, [SINGLE, 1.5, -inf]),
    (35, NetDataWriter.put_int, NetDataReader.get_int, [32, 2**31 - 1, -(2**31)]),
    (37, NetDataWriter.put_long, NetDataReader.get_long, [64, 2**63 - 1, -(2**63)]),
    (
        39,
        NetDataWriter.put_endpoint,
        NetDataReader.get_endpoint,
        [("127.0.0.1", 7777), ("::1", 7777), ("fe80::1%2", 65535)],
    ),
    (40, NetDataWriter.put_sbyte, NetDataReader.get_sbyte, [8, 127, -128]),
    (41, NetDataWriter.put_short, NetDataReader.get_short, [16, 2**15 - 1, -(2**15)]),
    (
        43,
        NetDataWriter.put_string,
        lambda reader: reader.get_string(10),
        ["String", "", "0123456789"],
    ),
    (45, NetDataWriter.put_uint, NetDataReader.get_uint, [34, 0, 2**32 - 1]),
    (47, NetDataWriter.put_ulong, NetDataReader.get_ulong, [64, 0, 2**64 - 1]),
    (49, NetDataWriter.put_ushort, NetDataReader.get_ushort, [16, 0, 2**16 - 1]),
]


@pytest.mark.parametrize(
    ("put", "get", "value"),
    [
        pytest.param(put, get, value, id=f"{number}-{value!r}")
        for number, put, get, values in CASES
        for value in values
    ],
)
def test_a_value_comes_back(put: Put, get: Get, value: object) -> None:
    writer = NetDataWriter()
    put(writer, value)
    reader = NetDataReader(writer.data().ljust(BUFFER_SIZE, b"\0"))
    read = get(reader)
    assert read == value
    assert type(read) is type(value)
    assert reader.position == len(writer), "what was not written is not read"


def test_values_come_back_one_after_another() -> None:
    writer = NetDataWriter()
    for _, put, _, values in CASES:
        put(writer, values[0])
    reader = NetDataReader(writer.data())
    assert [get(reader) for _, _, get, _ in CASES] == [values[0] for *_, values in CASES]
    assert reader.end_of_data
