"""
Objects of annotated classes become bytes and objects again; what cannot is told by name.
"""

from __future__ import annotations

import linecache
import traceback
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from typing import Annotated, Any, TypeVar

import pytest

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
    NetDataWriter,
    NetSerializer,
    ReadError,
    SByte,
    Short,
    UInt,
    ULong,
    UShort,
    WriteError,
)

T = TypeVar("T")


class Colour(IntEnum):
    RED = 1
    BLUE = 7
    BELOW = -5


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
    col: Short


@dataclass
class Everything:
    flag: bool
    byte: Byte
    sbyte: SByte
    short: Short
    ushort: UShort
    int_: Int
    uint: UInt
    long: Long
    ulong: ULong
    float_: Float
    double: Double
    char: Char
    string: str
    motto: Annotated[str, MaxLength(5)]
    home: IPEndPoint
    raw: bytes
    colour: Colour
    tint: Annotated[Tint, Byte]
    rights: Rights
    flags: list[bool]
    sbytes: list[SByte]
    path: list[Float]
    fixed: tuple[Int, ...]
    chars: list[Char]
    names: list[str]
    homes: list[IPEndPoint]
    here: Cell
    cells: list[Cell]
    last: UShort


def everything(**values: Any) -> Everything:
    given: dict[str, Any] = {
        "flag": True,
        "byte": 255,
        "sbyte": -128,
        "short": -2,
        "ushort": 65535,
        "int_": -(1 << 31),
        "uint": (1 << 32) - 1,
        "long": -(1 << 63),
        "ulong": (1 << 64) - 1,
        "float_": 1.5,
        "double": -2.25,
        "char": "€",
        "string": "é€😀",
        "motto": "12345",
        "home": ("127.0.0.1", 80),
        "raw": b"\1\2",
        "colour": Colour.BELOW,
        "tint": Tint.LIGHT,
        "rights": Rights.READ | Rights.SIGN,
        "flags": [True, False],
        "sbytes": [-1],
        "path": [1.0, 2.0],
        "fixed": (1, -2),
        "chars": ["A", "\ud83d"],
        "names": ["x", ""],
        "homes": [("::1", 1)],
        "here": Cell(1, 2),
        "cells": [Cell(3, 4), Cell(-5, 6)],
        "last": 0x1234,
    }
    return Everything(**{**given, **values})


BYTES = (
    "01 ff 80 feff ffff 00000080 ffffffff 0000000000000080 ffffffffffffffff 0000c03f"
    "00000000000002c0 ac20 09000000 c3a9e282acf09f9880 05000000 3132333435"
    "09000000 3132372e302e302e31 50000000 02000000 0102 fbffffff ff 01000080"
    "0200 0100 01000000 ff 0200 0000803f00000040 0200 01000000feffffff 0200 41003dd8"
    "0200 01000000 78 00000000 0100 03000000 3a3a31 01000000 01000200 0200 03000400 fbff0600 3412"
)


def of(annotation: Any) -> type[Any]:
    """
    A class named Packet with a field named value.
    """
    return dataclass(type("Packet", (), {"__annotations__": {"value": annotation}}))


def both_ways(packet: T) -> T:
    serializer = NetSerializer()
    reader = NetDataReader(serializer.serialize(packet))
    read = serializer.deserialize(type(packet), reader)
    assert reader.end_of_data
    return read


# ------------------------------------------------------------------ bytes


def test_every_type_has_the_layout_of_the_reference() -> None:
    serializer = NetSerializer()
    data = serializer.serialize(everything())
    assert data == bytes.fromhex(BYTES)
    reader = NetDataReader(data)
    read = serializer.deserialize(Everything, reader)
    assert read == everything()
    assert reader.end_of_data
    assert type(read.colour) is Colour
    assert type(read.rights) is Rights
    assert type(read.fixed) is tuple


@pytest.mark.parametrize("source", [bytes, bytearray, memoryview])
def test_an_object_is_read_from_the_middle_of_any_bytes(source: Any) -> None:
    data = bytes.fromhex(BYTES)
    reader = NetDataReader(source(b"\0\0\0" + data + b"rest"), 3)
    assert NetSerializer().deserialize(Everything, reader) == everything()
    assert reader.get_remaining_bytes() == b"rest"


def test_nothing_is_read_past_the_logical_end() -> None:
    data = bytes.fromhex(BYTES)
    reader = NetDataReader(data, 0, len(data) - 1)
    with pytest.raises(ReadError, match=r"Everything\.last: ushort at position 172: 1 byte left"):
        NetSerializer().deserialize(Everything, reader)
    assert reader.position == 0


def test_wherever_the_bytes_end_nothing_is_consumed() -> None:
    data = bytes.fromhex(BYTES)
    serializer = NetSerializer()
    for size in range(len(data)):
        reader = NetDataReader(data[:size])
        with pytest.raises(ReadError, match=r"^Everything\.\w+: .*left"):
            serializer.deserialize(Everything, reader)
        assert reader.position == 0


def test_what_is_written_goes_behind_what_is_there() -> None:
    writer = NetDataWriter()
    writer.put_byte(9)
    NetSerializer().serialize_to(writer, Cell(1, 2))
    assert writer.data() == bytes.fromhex("09 0100 0200")


def test_a_full_writer_takes_nothing_of_an_object() -> None:
    writer = NetDataWriter(limit=5)
    writer.put_short(1)
    with pytest.raises(WriteError):
        NetSerializer().serialize_to(writer, Cell(1, 2))
    assert writer.data() == b"\1\0"


def test_any_number_but_zero_is_true() -> None:
    cls = of(bool)
    assert NetSerializer().deserialize(cls, NetDataReader(b"\7")) == cls(True)


def test_a_lone_surrogate_in_a_string_becomes_a_replacement_character() -> None:
    assert both_ways(of(str)("a\ud83db")).value == "a\ufffdb"
    assert both_ways(of(str)("\ud83d\ude00")).value == "😀"


def test_bytes_may_be_given_in_any_form() -> None:
    for value in (b"ab", bytearray(b"ab"), memoryview(b"ab")):
        assert NetSerializer().serialize(of(bytes)(value)) == b"\2\0\0\0ab"


def test_lists_and_tuples_stand_for_each_other() -> None:
    serializer = NetSerializer()
    assert serializer.serialize(of(list[Int])((1,))) == serializer.serialize(
        of(tuple[Int, ...])([1])
    )


def test_a_list_may_be_as_long_as_its_count_can_say_and_no_longer() -> None:
    cls = of(list[Short])
    assert len(both_ways(cls([1] * 65535)).value) == 65535
    with pytest.raises(WriteError, match=r"Packet\.value: at most 65535 elements, not 65536"):
        NetSerializer().serialize(cls([1] * 65536))
    nested = of(list[Cell])
    assert len(both_ways(nested([Cell(1, 2)] * 65535)).value) == 65535
    with pytest.raises(WriteError, match=r"Packet\.value: at most 65535 elements, not 65536"):
        NetSerializer().serialize(nested([Cell(1, 2)] * 65536))


def test_bytes_have_no_such_limit() -> None:
    cls = of(bytes)
    assert both_ways(cls(bytes(65536))).value == bytes(65536)
    sbytes = of(list[SByte])
    assert both_ways(sbytes([-1] * 65536)).value == [-1] * 65536


# ------------------------------------------------------------------ values that do not fit


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("flag", None, "bool must be True or False, not None"),
        ("flag", 2, "bool must be True or False, not 2"),
        ("flag", "yes", "bool must be True or False, not 'yes'"),
        ("byte", 256, "byte must be in 0..255, not 256"),
        ("byte", -1, "byte must be in 0..255, not -1"),
        ("sbyte", 128, "sbyte must be in -128..127, not 128"),
        ("short", "1", "short must be in -32768..32767, not '1'"),
        ("ushort", 70000, "ushort must be in 0..65535, not 70000"),
        ("int_", 1.0, "int must be in -2147483648..2147483647, not 1.0"),
        ("uint", 1 << 32, "uint must be in 0..4294967295, not 4294967296"),
        ("long", None, "long must be in"),
        ("ulong", -1, "ulong must be in 0..18446744073709551615, not -1"),
        ("ulong", 1 << 999, "ulong must be in"),
        ("float_", 1e39, "float must be a number of single precision, not 1e+39"),
        ("float_", "1", "float must be"),
        ("double", None, "double must be"),
        ("char", "ab", "char must be one UTF-16 unit, not 'ab'"),
        ("char", "😀", "char must be one UTF-16 unit"),
        ("char", b"a", "char must be one UTF-16 unit, not b'a'"),
        ("char", "", "char must be one UTF-16 unit, not ''"),
        ("string", None, "string must be a str, not None"),
        ("string", b"x", "string must be a str, not b'x'"),
        ("string", 5, "string must be a str, not 5"),
        ("motto", "123456", "string of 6 UTF-16 units and 6 bytes: at most 5 and 10"),
        ("home", None, "IPEndPoint must be a tuple of literal IP and port, not None"),
        ("home", ("localhost", 1), "'localhost' is no IP"),
        ("home", ("1.2.3.4", 65536), "a port of 65536"),
        ("home", ("1.2.3.4",), "IPEndPoint must be"),
        ("raw", "x", "byte[] must be bytes, not 'x'"),
        ("raw", 5, "byte[] must be bytes, not 5"),
        ("raw", [1], "byte[] must be bytes, not [1]"),
        ("colour", 2, "must be a Colour, not 2"),
        ("colour", None, "must be a Colour, not None"),
        ("colour", "RED", "must be a Colour, not 'RED'"),
        ("tint", 1, "must be a Tint, not 1"),
        ("rights", Rights(4), "must be a Rights, not "),
        ("flags", [True, None], "[1]: bool must be True or False, not None"),
        ("sbytes", [1, 2, 200], "[2]: sbyte must be in -128..127, not 200"),
        ("path", None, "float[] must be a list or a tuple, not None"),
        ("path", {1.0}, "float[] must be a list or a tuple, not {1.0}"),
        ("path", [1.0, "2"], "[1]: float must be"),
        ("fixed", iter([1]), "int[] must be a list or a tuple"),
        ("chars", "ab", "char[] must be a list or a tuple, not 'ab'"),
        ("chars", ["a", 98], "[1]: char must be one UTF-16 unit, not 98"),
        ("names", "ab", "string[] must be a list or a tuple, not 'ab'"),
        ("names", {"a": 1}, "string[] must be a list or a tuple"),
        ("names", ["a", None], "[1]: string must be a str, not None"),
        ("homes", [("::1", 1), ("x", 1)], "[1]: 'x' is no IP"),
        ("here", None, "must be a Cell, not None"),
        ("here", {"row": 1}, "must be a Cell, not {'row': 1}"),
        ("here", Cell(1, 40000), ".col: short must be in -32768..32767, not 40000"),
        ("cells", [None], "[0]: must be a Cell, not None"),
        ("cells", [Cell(1, 2), Cell(None, 3)], "[1].row: short must be"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_does_not_fit_is_named_and_nothing_is_written(
    name: str, value: Any, fault: str
) -> None:
    writer = NetDataWriter()
    writer.put_byte(1)
    with pytest.raises(WriteError) as caught:
        NetSerializer().serialize_to(writer, everything(**{name: value}))
    joint = "" if fault[0] in ".[" else ": "
    assert str(caught.value).startswith(f"Everything.{name}{joint}{fault}")
    assert writer.data() == b"\1"


def test_a_field_that_was_never_set_is_named() -> None:
    packet = Cell(1, 2)
    del packet.col
    with pytest.raises(WriteError, match=r"^Cell\.col is not set$"):
        NetSerializer().serialize(packet)


# ------------------------------------------------------------------ strings


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("x" * 8, True),
        ("x" * 9, False),
        ("é" * 8, True),
        ("é" * 9, False),
        ("€" * 5, True),
        ("€" * 6, False),  # 18 bytes
        ("😀" * 4, True),
        ("😀" * 4 + "x", False),
        ("\ud83d" * 5, True),
        ("\ud83d" * 6, False),
    ],
)
def test_both_limits_of_a_string_hold_for_writing_and_for_reading(text: str, fits: bool) -> None:
    """
    A C# reader with the limit 8 takes 8 UTF-16 units and 16 bytes (SERIALIZATION §2).
    """
    cls = of(str)
    limited, free = NetSerializer(8), NetSerializer()
    data = free.serialize(cls(text))
    if fits:
        assert limited.serialize(cls(text)) == data
        assert limited.deserialize(cls, NetDataReader(data)) == free.deserialize(
            cls, NetDataReader(data)
        )
        return
    with pytest.raises(WriteError, match=r"^Packet\.value: string of .* at most 8 and 16$"):
        limited.serialize(cls(text))
    with pytest.raises(ReadError, match=r"^Packet\.value: string at position 0: more than"):
        limited.deserialize(cls, NetDataReader(data))


@pytest.mark.parametrize("limit", [0, -1])
def test_without_a_limit_a_string_has_32767_units_at_most(limit: int) -> None:
    cls = of(str)
    serializer = NetSerializer(limit)
    data = serializer.serialize(cls("x" * 32767))
    assert serializer.deserialize(cls, NetDataReader(data)).value == "x" * 32767
    with pytest.raises(WriteError, match="32768"):
        serializer.serialize(cls("x" * 32768))


def test_the_limit_of_a_field_goes_before_that_of_the_serializer() -> None:
    assert both_ways(of(Annotated[str, MaxLength(40000)])("x" * 40000)).value == "x" * 40000
    cls = of(list[Annotated[str, MaxLength(2)]])
    with pytest.raises(WriteError, match=r"value\[1\]: string of 3"):
        NetSerializer().serialize(cls(["ab", "abc"]))


def test_the_limit_is_of_each_serializer() -> None:
    cls = of(str)
    with pytest.raises(WriteError):
        NetSerializer(3).serialize(cls("abcd"))
    assert NetSerializer(4).serialize(cls("abcd"))


def test_a_limit_below_one_is_no_limit_for_a_field() -> None:
    with pytest.raises(ValueError, match="at most 0 characters"):
        MaxLength(0)


@pytest.mark.parametrize("count", [0, -1, -(1 << 31)])
def test_a_string_of_no_bytes_or_fewer_is_empty(count: int) -> None:
    reader = NetDataReader(count.to_bytes(4, "little", signed=True) + b"\7")
    assert NetSerializer().deserialize(of(str), reader).value == ""
    assert reader.position == 4


# ------------------------------------------------------------------ what a stranger sends


@pytest.mark.parametrize(
    ("annotation", "data", "fault"),
    [
        (str, "ffffff7f 6161", "string at position 0: a count of 2147483647, but 2 bytes left"),
        (bytes, "ffffff7f 61", "byte[] at position 0: a count of 2147483647, but 1 byte left"),
        (bytes, "ffffffff", "byte[] at position 0: a count of -1, but 0 bytes left"),
        (list[SByte], "00000080", "sbyte[] at position 0: a count of -2147483648"),
        (list[Long], "ffff 00", "long[] at position 0: a count of 65535, but 1 byte left"),
        (list[str], "0200 00000000 000000", "string[] at position 0: a count of 2, but 7 bytes"),
        (list[str], "0200 01000000 61 000000", "string at position 7: 3 bytes left"),
        (list[Cell], "0200 01000200 010002", "Cell[] at position 0: a count of 2, but 7 bytes"),
        (list[Char], "0200 010002", "char[] at position 0: a count of 2, but 3 bytes left"),
        (Colour, "02000000", "Colour at position 0: 2 is not a valid Colour"),
        (Colour, "00000000", "Colour at position 0: 0 is not a valid Colour"),
        (Annotated[Tint, Byte], "01", "Tint at position 0: 1 is not a valid Tint"),
        (Rights, "04000000", "Rights at position 0: 4 is not a valid Rights"),
        (IPEndPoint, "09000000 6c6f63616c686f7374 50000000", "endpoint at position 0: 'localhost'"),
        (Cell, "0100 02", "Cell.col: short at position 2: 1 byte left"),
    ],
)
def test_what_is_no_such_value_is_refused_by_name(annotation: Any, data: str, fault: str) -> None:
    cls = of(annotation)
    reader = NetDataReader(bytes.fromhex(data))
    with pytest.raises(ReadError) as caught:
        NetSerializer().deserialize(cls, reader)
    assert str(caught.value).startswith(f"Packet.value: {fault}")
    assert reader.position == 0


def test_flags_combine_and_the_highest_bit_is_one_of_them() -> None:
    for rights in (Rights(0), Rights.READ | Rights.WRITE, Rights.SIGN):
        assert both_ways(of(Rights)(rights)).value == rights
    assert NetSerializer().serialize(of(Rights)(Rights.SIGN)) == b"\0\0\0\x80"


def test_an_enum_may_say_itself_what_its_missing_values_are() -> None:
    class Lenient(IntEnum):
        UNKNOWN = 0
        KNOWN = 1

        @classmethod
        def _missing_(cls, value: object) -> Lenient:
            return cls.UNKNOWN

    cls = of(Lenient)
    assert NetSerializer().deserialize(cls, NetDataReader(b"\7\0\0\0")).value is Lenient.UNKNOWN
    with pytest.raises(WriteError, match="must be a Lenient, not 7"):
        NetSerializer().serialize(cls(7))
    assert NetSerializer().serialize(cls(1)) == b"\1\0\0\0"


# ------------------------------------------------------------------ into an object


def test_an_object_takes_over_all_values() -> None:
    target = Cell(1, 2)
    reader = NetDataReader(NetSerializer().serialize(Cell(3, 4)))
    NetSerializer().deserialize_into(reader, target)
    assert target == Cell(3, 4)
    assert reader.end_of_data


def test_an_object_keeps_all_of_its_values_if_one_is_bad() -> None:
    target = everything()
    other = replace(everything(), flag=False, names=["other"], last=1)
    data = NetSerializer().serialize(other)
    for size in range(len(data)):
        reader = NetDataReader(data[:size])
        with pytest.raises(ReadError):
            NetSerializer().deserialize_into(reader, target)
        assert reader.position == 0
        assert target == everything()
    NetSerializer().deserialize_into(NetDataReader(data), target)
    assert target == other


def test_a_list_that_somebody_holds_is_not_changed_under_them() -> None:
    target = of(list[Int])([1, 2, 3])
    held = target.value
    NetSerializer().deserialize_into(NetDataReader(bytes.fromhex("0100 09000000")), target)
    assert target.value == [9]
    assert held == [1, 2, 3]


# ------------------------------------------------------------------ compiling


class Filed(dict[str, Any]):
    """
    Which sources have been put away for tracebacks.
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def __setitem__(self, name: str, source: Any) -> None:
        super().__setitem__(name, source)
        self.names.append(name)


def test_a_class_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = Filed()
    monkeypatch.setattr(linecache, "cache", compiled)
    serializer = NetSerializer()
    serializer.register(Cell)
    assert len(compiled.names) == 1
    serializer.register(Cell)
    data = serializer.serialize(Cell(1, 2))
    serializer.deserialize(Cell, NetDataReader(data))
    serializer.register(of(list[Cell]))
    assert [name.rpartition(".")[2] for name in compiled.names] == ["Cell>", "Packet>"]


def test_a_traceback_shows_the_compiled_line() -> None:
    def fail(_: object) -> int:
        raise RuntimeError("boom")

    cls = type("Exploding", (), {"__annotations__": {"value": Int}, "value": property(fail)})
    with pytest.raises(RuntimeError) as caught:
        NetSerializer().serialize(cls())
    assert "packet.value" in "".join(traceback.format_exception(caught.value))
