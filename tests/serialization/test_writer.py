"""
Values become the bytes that C# writes (examples printed by the reference: SERIALIZATION §1, §2).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable

import pytest

from p2pnet.serialization import NetDataReader, NetDataWriter, WriteError

Put = Callable[[NetDataWriter], None]


class Vec:
    """
    An INetSerializable of the application.
    """

    def serialize(self, writer: NetDataWriter) -> None:
        writer.put_float(1)
        writer.put_float(2)


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
    (lambda w: w.put_endpoint(("0.0.0.0", 0)), "07000000 302e302e302e30 00000000"),
    (lambda w: w.put_char("€"), "ac20"),
    (lambda w: w.put_char("\ud83d"), "3dd8"),
    (lambda w: w.put_bytes(b"\1\2\3\4", 1), "020304"),
    (lambda w: w.put_bytes(b"\1\2\3\4", 1, 2), "0203"),
    (lambda w: w.put_bytes(b"\1\2\3\4", 4, 0), ""),
    (lambda w: w.put_bytes_with_length(b"\1\2\3\4", 1, 2), "02000000 0203"),
    (lambda w: w.put_bytes_with_length(b"\1\2\3\4", 1), "03000000 020304"),
    (lambda w: w.put_sbytes_with_length([1, -1, -128]), "03000000 01ff80"),
    (lambda w: w.put_sbytes_with_length([1, -1, -128], 1, 1), "01000000 ff"),
    (lambda w: w.put_bool_array([True, False, True]), "0300 010001"),
    (lambda w: w.put_short_array([1, -1]), "0200 0100 ffff"),
    (lambda w: w.put_ushort_array([1, 65535]), "0200 0100 ffff"),
    (lambda w: w.put_int_array([1, -1]), "0200 01000000 ffffffff"),
    (lambda w: w.put_uint_array([2**32 - 1]), "0100 ffffffff"),
    (lambda w: w.put_long_array([-1]), "0100 ffffffffffffffff"),
    (lambda w: w.put_ulong_array([2**64 - 1]), "0100 ffffffffffffffff"),
    (lambda w: w.put_float_array([1.0, 2.0]), "0200 0000803f 00000040"),
    (lambda w: w.put_double_array((-2.25,)), "0100 00000000000002c0"),
    (lambda w: w.put_int_array([]), "0000"),
    (
        lambda w: w.put_string_array(["a", "", "bc"]),
        "0300 01000000 61 00000000 02000000 6263",
    ),
    (lambda w: w.put_serializable(Vec()), "0000803f 00000040"),
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


@pytest.mark.parametrize(
    "view",
    [
        bytearray(b"\1\2\3\4"),
        memoryview(b"\1\2\3\4"),
        memoryview(b"\1\2\3\4").cast("h"),
        memoryview(b"\1\0\2\0\3\0\4")[::2],
    ],
)
def test_any_run_of_bytes_can_be_put(view: bytearray | memoryview) -> None:
    writer = NetDataWriter()
    writer.put_bytes(view)
    writer.put_bytes_with_length(view)
    writer.put_bytes(view, 1, 2)
    assert writer.data() == b"\1\2\3\4" + b"\4\0\0\0\1\2\3\4" + b"\2\3"


def test_any_sequence_can_be_an_array() -> None:
    writer = NetDataWriter()
    writer.put_int_array(array("i", [1, 2]))
    writer.put_ushort_array(range(3))
    assert writer.data() == bytes.fromhex("0200 01000000 02000000 0300 0000 0100 0200")


UNFIT: list[tuple[str, tuple[object, ...], str]] = [
    ("byte", (-1,), "byte must be in 0..255, not -1"),
    ("byte", (256,), "byte must be in 0..255, not 256"),
    ("byte", (None,), "byte must be in 0..255, not None"),
    ("byte", (1.0,), "byte must be in 0..255, not 1.0"),
    ("sbyte", (-129,), "sbyte must be in -128..127, not -129"),
    ("sbyte", (128,), "sbyte must be in -128..127, not 128"),
    ("sbyte", ("1",), "sbyte must be in -128..127, not '1'"),
    ("sbyte", (1.0,), "sbyte must be in -128..127, not 1.0"),
    ("char", ("",), "char must be one UTF-16 unit, not ''"),
    ("char", ("ab",), "char must be one UTF-16 unit, not 'ab'"),
    ("char", ("😀",), "char must be one UTF-16 unit, not '😀'"),
    ("char", (65,), "char must be one UTF-16 unit, not 65"),
    ("short", (32768,), "short must be in -32768..32767, not 32768"),
    ("short", (-32769,), "short must be in -32768..32767, not -32769"),
    ("ushort", (-1,), "ushort must be in 0..65535, not -1"),
    ("ushort", (65536,), "ushort must be in 0..65535, not 65536"),
    ("int", (2**31,), "int must be in -2147483648..2147483647, not 2147483648"),
    ("int", (-(2**31) - 1,), "not -2147483649"),
    ("int", (1.5,), "int must be in -2147483648..2147483647, not 1.5"),
    ("int", (None,), "int must be in -2147483648..2147483647, not None"),
    ("uint", (-1,), "uint must be in 0..4294967295, not -1"),
    ("uint", (2**32,), "uint must be in 0..4294967295, not 4294967296"),
    ("long", (2**63,), "long must be in -9223372036854775808..9223372036854775807"),
    ("ulong", (-1,), "ulong must be in 0..18446744073709551615, not -1"),
    ("ulong", (2**64,), "not 18446744073709551616"),
    ("ulong", (10**9999,), "not an integer of 33216 bits"),
    ("float", (1e39,), "float must be a number of single precision, not 1e+39"),
    ("float", ("1",), "float must be a number of single precision, not '1'"),
    ("double", (10**400,), "double must be a number of double precision, not an int"),
    ("double", (None,), "double must be a number of double precision, not None"),
    ("string", (None,), "string must be a str, not None"),
    ("string", (b"abc",), "string must be a str, not b'abc'"),
    ("bytes", (None,), "bytes must be bytes, not None"),
    ("bytes", ("abc",), "bytes must be bytes, not 'abc'"),
    ("bytes", (3,), "bytes must be bytes, not 3"),
    ("bytes", (b"abc", 4), "bytes: 4..3 is not within the 3 that there are"),
    ("bytes", (b"abc", -1), "bytes: -1..3 is not within the 3"),
    ("bytes", (b"abc", 1, 3), "bytes: 1..4 is not within the 3"),
    ("bytes", (b"abc", 1, -1), "bytes: 1..0 is not within the 3"),
    ("bytes_with_length", (None,), "bytes with length must be bytes, not None"),
    ("bytes_with_length", (b"abc", 2, 2), "bytes with length: 2..4 is not within"),
    ("sbytes_with_length", ([128],), "element 0: sbyte must be in -128..127, not 128"),
    ("sbytes_with_length", ([1], 0, 2), "sbytes with length: 0..2 is not within"),
    ("sbytes_with_length", (None,), "sbytes with length must be a sequence, not None"),
    ("int_array", (None,), "int array must be a sequence, not None"),
    ("int_array", ([1, 2, 2**31],), "element 2: int must be in"),
    ("float_array", ([1.0, 1e39],), "element 1: float must be a number"),
    ("short_array", ([None],), "element 0: short must be in -32768..32767, not None"),
    ("bool_array", ([True] * 65536,), "bool array of 65536 elements: 65535 are"),
    ("ulong_array", (range(65537),), "ulong array of 65537 elements: 65535 are"),
    ("string_array", (["a"] * 65536,), "string array of 65536 elements: 65535 are"),
    ("string_array", (["a", None],), "string must be a str, not None"),
    ("string_array", (None,), "string array must be a sequence, not None"),
    ("endpoint", (("localhost", 80),), "endpoint: 'localhost' is no IP"),
    ("endpoint", (("fe80::1%eth0", 80),), "endpoint: 'fe80::1%eth0' is no IP"),
    ("endpoint", (("fe80::1%" + "1" * 60, 80),), "is no IP"),
    ("endpoint", ((None, 80),), "endpoint: None is no IP"),
    ("endpoint", (("10.0.0.1", 10**9999),), "endpoint: a port of an integer of 33216 bits"),
    ("endpoint", (("10.0.0.1", -1),), "endpoint: a port of -1"),
    ("endpoint", (("10.0.0.1", 65536),), "endpoint: a port of 65536"),
    ("endpoint", (("10.0.0.1", "80"),), "endpoint: a port of '80'"),
    ("endpoint", (None,), "endpoint must be (host, port), not None"),
    ("endpoint", (("::1", 80, 0, 0),), "endpoint must be (host, port), not ('::1'"),
]


@pytest.mark.parametrize(("name", "arguments", "text"), UNFIT)
def test_a_value_that_is_none_of_its_type_is_refused_by_name_and_writes_nothing(
    name: str, arguments: tuple[object, ...], text: str
) -> None:
    writer = NetDataWriter()
    writer.put_byte(9)
    with pytest.raises(WriteError, match=re.escape(text)):
        getattr(writer, f"put_{name}")(*arguments)
    assert writer.data() == b"\t"
    writer.put_byte(10)
    assert writer.data() == b"\t\n"


def test_the_longest_endpoint_makes_the_trip() -> None:
    host = "fe80::1%" + "1" * 56
    writer = NetDataWriter()
    writer.put_endpoint((host, 65535))
    assert NetDataReader(writer.data()).get_endpoint() == (host, 65535)


def test_the_longest_arrays_can_be_put() -> None:
    writer = NetDataWriter()
    writer.put_ushort_array(range(65535))
    assert len(writer) == 2 + 2 * 65535
    assert writer.data()[:2] == b"\xff\xff"


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("abcd", 0, "abcd"),
        ("abcd", -1, "abcd"),
        ("", 3, ""),
        # Twice as many bytes as units: three of three bytes are nine.
        ("éééé", 4, "éééé"),
        ("ééééé", 4, "éééé"),
        ("你好你好", 4, "你好"),
        ("€", 1, ""),
        ("a€", 2, "a€"),
        ("a€€", 3, "a€"),
        # A pair counts two units, and does not go in half.
        ("😀", 1, ""),
        ("😀", 2, "😀"),
        ("\ud83d\ude00", 2, "😀"),
        ("a😀", 2, "a"),
        ("a😀b", 3, "a😀"),
        ("\ud83d", 1, ""),
        ("\ud83da", 2, "\ufffda"),
    ],
)
def test_a_string_is_cut_to_what_a_reader_with_the_same_limit_takes(
    text: str, limit: int, cut: str
) -> None:
    """
    The reference counts the whole string and leaves old bytes in the gap (PITFALLS A6).
    """
    writer = NetDataWriter()
    writer.put_string(text, limit)
    encoded = cut.encode()
    assert writer.data() == len(encoded).to_bytes(4, "little") + encoded
    assert NetDataReader(writer.data()).get_string(limit) == cut
    writer.reset()
    writer.put_string_array([text, "z"], limit)
    assert NetDataReader(writer.data()).get_string_array(limit) == [cut, "z"]


LIMITED: list[tuple[Put, int]] = [
    (lambda w: w.put_bool(True), 1),
    (lambda w: w.put_byte(1), 1),
    (lambda w: w.put_sbyte(-1), 1),
    (lambda w: w.put_char("a"), 2),
    (lambda w: w.put_short(1), 2),
    (lambda w: w.put_ushort(1), 2),
    (lambda w: w.put_int(1), 4),
    (lambda w: w.put_uint(1), 4),
    (lambda w: w.put_long(1), 8),
    (lambda w: w.put_ulong(1), 8),
    (lambda w: w.put_float(1), 4),
    (lambda w: w.put_double(1), 8),
    (lambda w: w.put_bytes(b"abc"), 3),
    (lambda w: w.put_bytes_with_length(b"abc"), 7),
    (lambda w: w.put_sbytes_with_length([1, 2]), 6),
    (lambda w: w.put_string("abc"), 7),
    (lambda w: w.put_int_array([1, 2]), 10),
    (lambda w: w.put_bool_array([True]), 3),
    (lambda w: w.put_string_array(["a", "b"]), 12),
    (lambda w: w.put_endpoint(("::1", 1)), 11),
    (lambda w: w.put_serializable(Vec()), 8),
]


@pytest.mark.parametrize(("put", "size"), LIMITED)
def test_a_limit_is_kept_to_the_byte_and_what_passes_it_writes_nothing(
    put: Put, size: int
) -> None:
    writer = NetDataWriter(limit=2 + size)
    writer.put_short(1)
    put(writer)
    assert len(writer) == 2 + size

    writer = NetDataWriter(limit=2 + size - 1)
    writer.put_short(1)
    with pytest.raises(WriteError, match=f"the limit is {2 + size - 1}"):
        put(writer)
    assert writer.data() == b"\1\0"
    for _ in range(size - 1):
        writer.put_byte(7)
    with pytest.raises(WriteError, match=f"1 bytes more at position {1 + size}"):
        writer.put_byte(7)


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        NetDataWriter(limit=-1)


def test_a_writer_with_a_limit_of_zero_holds_nothing() -> None:
    writer = NetDataWriter(limit=0)
    writer.put_bytes(b"")
    with pytest.raises(WriteError):
        writer.put_bool(False)
    assert len(writer) == 0


def test_a_reset_makes_room_again() -> None:
    writer = NetDataWriter(limit=4)
    for value in (1, 2):
        writer.reset()
        writer.put_int(value)
    assert writer.data() == b"\2\0\0\0"


def written(*values: int) -> NetDataWriter:
    writer = NetDataWriter()
    for value in values:
        writer.put_int(value)
    return writer


def test_a_value_can_be_written_over_and_the_rest_comes_back() -> None:
    writer = written(0x11111111, 0x22222222, 0x33333333)
    assert writer.set_position(4) == 12
    assert len(writer) == 4
    writer.put_short(0x7777)
    assert writer.data().hex() == "111111117777"
    assert writer.set_position(12) == 6
    writer.put_byte(9)
    assert writer.data().hex() == "11111111777722223333333309"


def test_what_was_written_over_while_going_back_and_forth_is_the_newest() -> None:
    writer = NetDataWriter.from_bytes(b"abcdefgh")
    writer.set_position(2)
    writer.put_bytes(b"CD")
    writer.set_position(1)
    writer.put_bytes(b"B")
    writer.set_position(6)
    writer.put_bytes(b"GHIJ")
    writer.set_position(0)
    assert writer.data() == b""
    writer.set_position(10)
    assert writer.data() == b"aBCDefGHIJ"


def test_what_was_never_written_is_zeros() -> None:
    writer = NetDataWriter.from_bytes(b"ab")
    assert writer.set_position(4) == 2
    writer.put_byte(1)
    assert writer.data() == b"ab\0\0\1"


def test_a_position_is_held_to_the_limit() -> None:
    writer = NetDataWriter(limit=4)
    writer.put_short(1)
    with pytest.raises(WriteError, match="a position of 5: the limit is 4"):
        writer.set_position(5)
    with pytest.raises(WriteError, match="a position of -1"):
        writer.set_position(-1)
    assert len(writer) == 2
    writer.set_position(4)
    writer.set_position(0)
    writer.put_int(7)
    assert writer.data() == b"\7\0\0\0"


def test_reset_forgets_what_is_behind_the_position_as_well() -> None:
    """
    The reference would show what the message before held (PITFALLS A6).
    """
    writer = NetDataWriter.from_bytes(b"secret")
    writer.set_position(2)
    writer.reset()
    writer.set_position(6)
    assert writer.data() == bytes(6)


def test_a_writer_begins_with_bytes_or_a_string() -> None:
    source = bytearray(b"\1\2")
    writer = NetDataWriter.from_bytes(source)
    source[0] = 9
    writer.put_byte(3)
    assert writer.data() == b"\1\2\3"
    assert NetDataWriter.from_string("key").data() == b"\3\0\0\0key"


def test_an_object_that_fails_half_way_leaves_nothing() -> None:
    class Broken(Vec):
        def serialize(self, writer: NetDataWriter) -> None:
            super().serialize(writer)
            writer.set_position(10)
            writer.put_int(2**31)

    writer = NetDataWriter.from_bytes(b"0123456789")
    writer.set_position(9)
    with pytest.raises(WriteError):
        writer.put_serializable(Broken())
    assert writer.data() == b"012345678"
    writer.set_position(12)
    assert writer.data() == b"0123456789\0\0"
