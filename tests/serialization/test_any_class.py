"""
Classes of any fields with any values; any bytes for them.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from enum import IntEnum, IntFlag
from types import GenericAlias
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.serialization import (
    Byte,
    Char,
    Double,
    Float,
    Int,
    IPEndPoint,
    Long,
    MaxLength,
    NetDataReader,
    NetPacketProcessor,
    NetSerializer,
    ReadError,
    SByte,
    Short,
    UInt,
    ULong,
    UShort,
    clr_type,
)


class Colour(IntEnum):
    RED = -1
    NONE = 0
    BLUE = 255


class Tint(IntEnum):
    DARK = 0
    LIGHT = 255


class Rights(IntFlag):
    READ = 1
    WRITE = 2
    SIGN = 1 << 31


@dataclass
class Cell:
    row: Short
    name: str


def _integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    low = -(1 << bits - 1) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_ENDPOINTS = st.tuples(st.ip_addresses().map(str), st.integers(0, 65535))

SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (Byte, _integers(8, False)),
    (SByte, _integers(8, True)),
    (Short, _integers(16, True)),
    (UShort, _integers(16, False)),
    (Int, _integers(32, True)),
    (UInt, _integers(32, False)),
    (Long, _integers(64, True)),
    (ULong, _integers(64, False)),
    (Float, st.floats(width=32, allow_nan=False)),
    (Double, st.floats(allow_nan=False)),
    (Char, st.integers(0, 65535).map(chr)),
    (str, _TEXT),
    (IPEndPoint, _ENDPOINTS),
    (Cell, st.builds(Cell, _integers(16, True), _TEXT)),
]
SINGLE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bytes, st.binary(max_size=20)),
    (Annotated[str, MaxLength(3)], st.text("ab", max_size=3)),
    (Colour, st.sampled_from(Colour)),
    (Annotated[Tint, Byte], st.sampled_from(Tint)),
    (Rights, st.integers(0, 3).map(Rights)),
]


def _sequences(
    annotation: Any, values: st.SearchStrategy[Any]
) -> list[tuple[Any, st.SearchStrategy[Any]]]:
    if annotation is Byte:
        return []
    lists = st.lists(values, max_size=4)
    return [
        (GenericAlias(list, annotation), lists),
        (GenericAlias(tuple, (annotation, ...)), lists.map(tuple)),
    ]


LISTS = [each for annotation, values in SCALARS for each in _sequences(annotation, values)]
KINDS = [*SCALARS, *SINGLE, *LISTS]


def _plain(fields: dict[str, Any]) -> type[Any]:
    def is_same(self: object, other: object) -> bool:
        return vars(self) == vars(other)

    def show(self: object) -> str:
        return repr(vars(self))

    return type(
        "Packet",
        (),
        {"__annotations__": fields, "__eq__": is_same, "__hash__": None, "__repr__": show},
    )


FORMS: list[Callable[[dict[str, Any]], type[Any]]] = [
    _plain,
    lambda fields: make_dataclass("Packet", fields.items()),
    lambda fields: make_dataclass("Packet", fields.items(), frozen=True, kw_only=True),
    lambda fields: attrs.make_class(
        "Packet", {name: attrs.field(type=kind) for name, kind in fields.items()}
    ),
]


@st.composite
def packets(draw: st.DrawFn) -> Any:
    """
    An object of a class of its own.
    """
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=8))
    fields = {f"field{i}": annotation for i, (annotation, _) in enumerate(kinds)}
    values = {f"field{i}": draw(strategy) for i, (_, strategy) in enumerate(kinds)}
    form = draw(st.sampled_from(FORMS))
    cls = form(fields)
    if form is _plain:
        packet = cls()
        vars(packet).update(values)
        return packet
    return cls(**values)


@given(packets(), st.binary(max_size=3), st.binary(max_size=3))
def test_any_object_of_any_class_comes_back(packet: Any, before: bytes, behind: bytes) -> None:
    serializer = NetSerializer()
    data = serializer.serialize(packet)
    reader = NetDataReader(before + data + behind, len(before))
    read = NetSerializer().deserialize(type(packet), reader)
    assert read == packet
    assert type(read) is type(packet)
    assert reader.get_remaining_bytes() == behind
    assert NetSerializer().serialize(read) == data


@given(packets())
def test_no_beginning_of_any_object_is_one(packet: Any) -> None:
    serializer = NetSerializer()
    data = serializer.serialize(packet)
    for size in range(len(data)):
        reader = NetDataReader(data, 0, size)
        with pytest.raises(ReadError, match=r"^Packet\.field\d: "):
            serializer.deserialize(type(packet), reader)
        assert reader.position == 0


@given(packets(), st.binary(max_size=100))
def test_any_bytes_are_an_object_or_a_read_error(packet: Any, data: bytes) -> None:
    serializer = NetSerializer()
    reader = NetDataReader(data)
    try:
        read = serializer.deserialize(type(packet), reader)
    except ReadError:
        assert reader.position == 0
    else:
        # What was understood can be said again.
        again = NetDataReader(serializer.serialize(read))
        assert repr(serializer.deserialize(type(packet), again)) == repr(read)


@given(packets(), st.data())
def test_a_damaged_packet_calls_nobody_or_is_read_whole(packet: Any, data: st.DataObject) -> None:
    processor = NetPacketProcessor()
    told: list[object] = []
    clr_type("Some.Packet")(type(packet))
    processor.subscribe(type(packet), lambda packet, _: told.append(packet))
    damaged = bytearray(processor.write(packet))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    reader = NetDataReader(bytes(damaged))
    try:
        processor.read_packet(reader)
    except ReadError:
        assert not told
        assert reader.position == 0
    else:
        assert len(told) == 1


@pytest.mark.parametrize(
    ("annotation", "count"),
    [
        *((annotation, b"\xff\xff") for annotation, _ in LISTS),
        (list[SByte], b"\xff\xff\xff\x7f"),
        (tuple[SByte, ...], b"\xff\xff\xff\x7f"),
        (bytes, b"\xff\xff\xff\x7f"),
        (str, b"\xff\xff\xff\x7f"),
    ],
    ids=str,
)
def test_a_count_reserves_nothing_that_is_not_there(annotation: Any, count: bytes) -> None:
    cls = make_dataclass("Packet", [("value", annotation)])
    serializer = NetSerializer()
    serializer.register(cls)
    reader = NetDataReader(count + bytes(8))

    def read() -> None:
        with pytest.raises(ReadError):
            serializer.deserialize(cls, reader)

    read()
    tracemalloc.start()
    try:
        read()
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()
