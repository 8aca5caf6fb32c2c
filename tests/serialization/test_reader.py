"""
Bytes become values again, and nothing is read that is not there (PITFALLS A5, B5, B7).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from p2pnet.serialization import NetDataReader, NetDataWriter, ReadError

Get = Callable[[NetDataReader], object]


class Pair:
    """
    An INetSerializable of the application: ``int, string``.
    """

    def __init__(self) -> None:
        self.values: list[object] = []

    def deserialize(self, reader: NetDataReader) -> None:
        self.values = [reader.get_int(), reader.get_string()]


WHOLE: list[tuple[Get, str, object]] = [
    (lambda r: r.get_bool(), "00", False),
    (lambda r: r.get_bool(), "01", True),
    (lambda r: r.get_bool(), "80", True),
    (lambda r: r.get_byte(), "ff", 255),
    (lambda r: r.get_sbyte(), "fe", -2),
    (lambda r: r.get_sbyte(), "7f", 127),
    (lambda r: r.get_sbyte(), "80", -128),
    (lambda r: r.get_short(), "feff", -2),
    (lambda r: r.get_ushort(), "3412", 0x1234),
    (lambda r: r.get_int(), "78563412", 0x12345678),
    (lambda r: r.get_uint(), "f0debc9a", 0x9ABCDEF0),
    (lambda r: r.get_long(), "0807060504030201", 0x0102030405060708),
    (lambda r: r.get_long(), "ffffffffffffffff", -1),
    (lambda r: r.get_ulong(), "ffffffffffffffff", 2**64 - 1),
    (lambda r: r.get_float(), "0000c03f", 1.5),
    (lambda r: r.get_double(), "00000000000002c0", -2.25),
    (lambda r: r.get_bytes(3), "010203", b"\1\2\3"),
    (lambda r: r.get_bytes_with_length(), "03000000010203", b"\1\2\3"),
    (lambda r: r.get_bytes_with_length(), "00000000", b""),
    (lambda r: r.get_string(), "03000000616263", "abc"),
    (lambda r: r.get_string(), "00000000", ""),
    (lambda r: r.get_string(), "09000000c3a9e282acf09f9880", "é€😀"),
    (
        lambda r: r.get_endpoint(),
        "0c0000003139322e3136382e312e32305a230000",
        ("192.168.1.20", 9050),
    ),
    (lambda r: r.get_endpoint(), "09000000666538303a3a312533ffff0000", ("fe80::1%3", 65535)),
    (lambda r: r.get_endpoint(), "07000000302e302e302e3000000000", ("0.0.0.0", 0)),
    (lambda r: r.get_char(), "ac20", "€"),
    (lambda r: r.get_char(), "3dd8", "\ud83d"),
    (lambda r: r.get_sbytes_with_length(), "0300000001ff80", [1, -1, -128]),
    (lambda r: r.get_bool_array(), "0300010002", [True, False, True]),
    (lambda r: r.get_short_array(), "02000100ffff", [1, -1]),
    (lambda r: r.get_ushort_array(), "02000100ffff", [1, 65535]),
    (lambda r: r.get_int_array(), "020001000000ffffffff", [1, -1]),
    (lambda r: r.get_uint_array(), "0100ffffffff", [2**32 - 1]),
    (lambda r: r.get_long_array(), "0100ffffffffffffffff", [-1]),
    (lambda r: r.get_ulong_array(), "0100ffffffffffffffff", [2**64 - 1]),
    (lambda r: r.get_float_array(), "02000000803f00000040", [1.0, 2.0]),
    (lambda r: r.get_double_array(), "010000000000000002c0", [-2.25]),
    (lambda r: r.get_int_array(), "0000", []),
    (
        lambda r: r.get_string_array(),
        "0300010000006100000000020000006263",
        ["a", "", "bc"],
    ),
    (lambda r: r.get_serializable(Pair).values, "01000000020000006869", [1, "hi"]),
]


@pytest.mark.parametrize(("get", "data", "value"), WHOLE)
def test_a_value_is_read_back_and_the_reader_moves_behind_it(
    get: Get, data: str, value: object
) -> None:
    whole = bytes.fromhex(data)
    reader = NetDataReader(b"\xee" + whole + b"\xee", 1)
    assert get(reader) == value
    assert reader.position == 1 + len(whole)
    assert reader.available_bytes == 1


@pytest.mark.parametrize(("get", "data", "value"), WHOLE)
def test_every_truncation_is_refused_and_moves_nothing(get: Get, data: str, value: object) -> None:
    whole = bytes.fromhex(data)
    for length in range(len(whole)):
        reader = NetDataReader(b"\xee" + whole[:length], 1)
        with pytest.raises(ReadError):
            get(reader)
        assert reader.position == 1
        assert reader.available_bytes == length


@pytest.mark.parametrize("count", [4, 1000, 2**31 - 1, -1, -(2**31)])
def test_bytes_announced_in_excess_or_below_zero_are_refused_before_anything_is_copied(
    count: int,
) -> None:
    reader = NetDataReader(struct.pack("<i", count) + b"abc")
    with pytest.raises(ReadError, match=f"{count} at position 0: 3 bytes left"):
        reader.get_bytes_with_length()
    assert reader.position == 0


@pytest.mark.parametrize("count", [4, 1000, 2**31 - 1])
def test_strings_announced_in_excess_are_refused(count: int) -> None:
    reader = NetDataReader(struct.pack("<i", count) + b"abc")
    with pytest.raises(ReadError, match=f"{count} bytes at position 0: 3 bytes left"):
        reader.get_string()
    assert reader.position == 0


@pytest.mark.parametrize("count", [0, -1, -(2**31)])
def test_a_string_of_no_length_or_less_is_empty_as_in_the_reference(count: int) -> None:
    data = struct.pack("<i", count) + b"abc"
    gets: list[Get] = [
        lambda r: r.get_string(),
        lambda r: r.get_string(5),
        lambda r: r.try_get_string(),
    ]
    for get in gets:
        reader = NetDataReader(data)
        assert get(reader) == ""
        assert reader.position == 4


def test_a_negative_count_of_bytes_is_refused() -> None:
    reader = NetDataReader(b"abc")
    with pytest.raises(ReadError):
        reader.get_bytes(-1)
    assert reader.position == 0


def test_invalid_utf8_becomes_replacement_characters() -> None:
    reader = NetDataReader(b"\4\0\0\0a\xff\xfeb")
    text = reader.get_string()
    assert text.strip("\ufffd") == text[0] + text[1:-1] + text[-1]
    assert (text[0], text[-1]) == ("a", "b")
    assert set(text[1:-1]) == {"\ufffd"}


@pytest.mark.parametrize(
    ("text", "limit", "fits"),
    [
        ("abc", 3, True),
        ("abcd", 3, False),
        ("abcd", 0, True),
        # A character outside of the first plane takes two units and four bytes.
        ("😀", 2, True),
        ("😀", 1, False),
        ("😀a", 2, False),
        # The reference lets in twice as many bytes as characters: three bytes for one are too many.
        ("é", 1, True),
        ("€", 1, False),
        ("€a", 2, True),
        ("€€", 2, False),
    ],
)
def test_a_limit_counts_utf16_units_and_half_the_bytes(text: str, limit: int, fits: bool) -> None:
    writer = NetDataWriter()
    writer.put_string(text)
    reader = NetDataReader(writer.data())
    if fits:
        assert reader.get_string(limit) == text
        assert reader.end_of_data
    else:
        with pytest.raises(ReadError):
            reader.get_string(limit)
        assert reader.position == 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "example.com",
        "",
        " 127.0.0.1",
        "127.0.0.1\n",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "256.0.0.1",
        "1.2.3.4%3",
        "fe80::1%eth0",
        "fe80::1%",
        "fe80::1%٣",
        "[::1]",
        ":::",
        "::1" + " " * 70,
        "0" * 100_000,
    ],
)
def test_only_literal_ips_are_endpoints(host: str) -> None:
    """
    A name would have to be looked up, and by whom it was sent decides where we look.
    """
    writer = NetDataWriter.from_string(host)
    writer.put_int(80)
    reader = NetDataReader(writer.data())
    with pytest.raises(ReadError):
        reader.get_endpoint()
    assert reader.position == 0


@pytest.mark.parametrize("port", [-1, 65536, 2**31 - 1, -(2**31)])
def test_only_real_ports_are_endpoints(port: int) -> None:
    writer = NetDataWriter.from_string("10.0.0.1")
    writer.put_int(port)
    reader = NetDataReader(writer.data())
    with pytest.raises(ReadError, match=str(port)):
        reader.get_endpoint()
    assert reader.position == 0


def test_what_is_left_can_be_taken_whole_and_then_nothing_is_left() -> None:
    reader = NetDataReader(b"\1rest")
    assert reader.get_byte() == 1
    assert not reader.end_of_data
    assert reader.get_remaining_bytes() == b"rest"
    assert reader.end_of_data
    assert reader.available_bytes == 0
    assert reader.get_remaining_bytes() == b""
    with pytest.raises(ReadError):
        reader.get_byte()


def test_a_refusal_says_what_was_read_where_and_what_was_left() -> None:
    reader = NetDataReader(b"\0\0\0", 1)
    with pytest.raises(ReadError, match="int of 4 bytes at position 1: 2 bytes left"):
        reader.get_int()


SCALARS = (
    ("bool", 1, True),
    ("byte", 1, 1),
    ("sbyte", 1, 1),
    ("char", 2, "\x01"),
    ("short", 2, 1),
    ("ushort", 2, 1),
    ("int", 4, 1),
    ("uint", 4, 1),
    ("long", 8, 1),
    ("ulong", 8, 1),
    ("float", 4, struct.unpack("<f", b"\1\0\0\0")[0]),
    ("double", 8, struct.unpack("<d", b"\1\0\0\0\0\0\0\0")[0]),
)


@pytest.mark.parametrize(("name", "size", "value"), SCALARS)
def test_a_peek_sees_what_a_get_will_get_and_stays(name: str, size: int, value: object) -> None:
    reader = NetDataReader(b"\xee\1" + bytes(size - 1), 1)
    assert getattr(reader, f"peek_{name}")() == value
    assert reader.position == 1
    assert getattr(reader, f"get_{name}")() == value
    assert reader.end_of_data
    with pytest.raises(ReadError, match=f"^{name} of {size} bytes at position {1 + size}: 0 bytes"):
        getattr(reader, f"peek_{name}")()


@pytest.mark.parametrize(("name", "size", "value"), SCALARS)
def test_a_try_gets_the_value_or_none_and_then_stays(name: str, size: int, value: object) -> None:
    whole = b"\xee\1" + bytes(size - 1)
    reader = NetDataReader(whole, 1)
    assert getattr(reader, f"try_get_{name}")() == value
    assert reader.end_of_data
    reader = NetDataReader(whole[:-1], 1)
    assert getattr(reader, f"try_get_{name}")() is None
    assert reader.position == 1


def test_a_string_can_be_peeked_at() -> None:
    reader = NetDataReader(b"\3\0\0\0abc")
    assert reader.peek_string() == "abc"
    assert reader.peek_string(3) == "abc"
    assert reader.position == 0
    with pytest.raises(ReadError, match="2 characters allowed"):
        reader.peek_string(2)
    assert reader.position == 0


@pytest.mark.parametrize("count", [4, 1000, 2**31 - 1])
def test_a_string_or_bytes_that_are_not_there_in_full_are_none_to_a_try(count: int) -> None:
    reader = NetDataReader(struct.pack("<i", count) + b"abc")
    assert reader.try_get_string() is None
    assert reader.try_get_bytes_with_length() is None
    assert reader.position == 0


@pytest.mark.parametrize("count", [-1, -(2**31)])
def test_bytes_of_a_length_below_zero_are_none_to_a_try(count: int) -> None:
    reader = NetDataReader(struct.pack("<i", count) + b"abc")
    assert reader.try_get_bytes_with_length() is None
    assert reader.position == 0


def test_a_string_array_is_tried_whole_or_not_at_all() -> None:
    whole = b"\2\0\1\0\0\0a\2\0\0\0bb"
    assert NetDataReader(whole).try_get_string_array() == ["a", "bb"]
    for length in range(len(whole)):
        reader = NetDataReader(whole[:length])
        assert reader.try_get_string_array() is None
        assert reader.position == 0


def test_a_string_in_an_array_that_is_too_long_fails_the_array() -> None:
    """
    The reference makes it empty, and reads its body as what follows (PITFALLS D32).
    """
    data = b"\2\0\2\0\0\0ab\3\0\0\0abc"
    assert NetDataReader(data).get_string_array(3) == ["ab", "abc"]
    reader = NetDataReader(data)
    with pytest.raises(ReadError):
        reader.get_string_array(2)
    assert reader.position == 0


ARRAYS = ("bool", "short", "ushort", "int", "uint", "long", "ulong", "float", "double", "string")


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_announced_in_excess_is_refused_before_it_is_made(name: str) -> None:
    reader = NetDataReader(b"\xff\xff" + bytes(40))
    with pytest.raises(ReadError, match=f"{name} array .* at position [02]: 4"):
        getattr(reader, f"get_{name}_array")()
    assert reader.position == 0


def test_nothing_behind_the_end_is_read() -> None:
    """
    The source may be a buffer with other messages in it (PITFALLS A5).
    """
    reader = NetDataReader(b"\1\2\3\4\5\6\7\x08", 2, 4)
    assert (reader.user_data_offset, reader.user_data_size, reader.raw_data_size) == (2, 2, 4)
    for name in ("int", "uint", "long", "ulong", "float", "double"):
        for verb in ("get", "peek"):
            with pytest.raises(ReadError, match="2 bytes left"):
                getattr(reader, f"{verb}_{name}")()
        assert getattr(reader, f"try_get_{name}")() is None
    with pytest.raises(ReadError):
        reader.get_bytes(3)
    assert reader.get_remaining_bytes() == b"\3\4"
    assert reader.position == 4
    assert reader.end_of_data


def test_a_length_may_not_lead_behind_the_end() -> None:
    data = b"\4\0\0\0abcd"
    for end in range(4, len(data)):
        reader = NetDataReader(data, 0, end)
        for name in ("string", "bytes_with_length", "sbytes_with_length", "short_array"):
            with pytest.raises(ReadError):
                getattr(reader, f"get_{name}")()
            assert reader.position == 0


@pytest.mark.parametrize(
    ("position", "end"), [(-1, None), (4, None), (0, 4), (2, 1), (0, -1), (-2, 3)]
)
def test_a_place_outside_of_the_source_is_refused(position: int, end: int | None) -> None:
    with pytest.raises(ValueError, match="3 bytes of the source"):
        NetDataReader(b"abc", position, end)


@pytest.mark.parametrize("source", ["abc", 3, None, [1, 2]])
def test_a_source_that_is_no_bytes_is_refused(source: object) -> None:
    with pytest.raises(TypeError, match="a reader needs bytes"):
        NetDataReader(source)  # type: ignore[arg-type]  # That is what is tested.


@pytest.mark.parametrize(
    "source",
    [
        bytearray(b"\5\0\0\0\2\0\0\0hi"),
        memoryview(b"\5\0\0\0\2\0\0\0hi"),
        memoryview(bytearray(b"--\5\0\0\0\2\0\0\0hi"))[2:],
        memoryview(b"\5\0\0\0\2\0\0\0hi").cast("h"),
    ],
)
def test_any_run_of_bytes_can_be_read(source: bytearray | memoryview) -> None:
    reader = NetDataReader(source)
    assert reader.available_bytes == 10
    assert reader.peek_bool() is True
    assert reader.get_serializable(Pair).values == [5, "hi"]
    reader.skip_bytes(-6)
    taken = reader.get_bytes_with_length()
    assert taken == b"hi"
    assert type(taken) is bytes
    assert reader.end_of_data


def test_a_source_is_not_copied() -> None:
    source = bytearray(b"\1\2\3")
    reader = NetDataReader(source)
    source[1] = 9
    assert reader.get_bytes(2) == b"\1\t"
    segment = reader.get_remaining_bytes_segment()
    assert reader.end_of_data
    assert segment.readonly
    source[2] = 8
    assert segment.tobytes() == b"\x08"
    assert reader.raw_data is source


def test_skipping_stays_within_the_data() -> None:
    reader = NetDataReader(b"abcdef", 1, 5)
    reader.skip_bytes(3)
    assert reader.position == 4
    reader.skip_bytes(-3)
    assert reader.get_byte() == ord("b")
    for count in (-2, 4, 2**31, -(2**31)):
        with pytest.raises(ReadError, match=f"skipping {count} bytes at position 2: .* 1..5"):
            reader.skip_bytes(count)
        assert reader.position == 2
    reader.skip_bytes(3)
    assert reader.end_of_data


def test_a_reader_can_be_given_another_source() -> None:
    reader = NetDataReader(b"first", 2)
    reader.get_byte()
    reader.set_source(b"..\7.", 2, 3)
    assert (reader.position, reader.available_bytes) == (2, 1)
    assert reader.get_byte() == 7
    assert reader.end_of_data
    with pytest.raises(ValueError, match=r"5\.\.4"):
        reader.set_source(b"....", 5)
    assert reader.raw_data == b"..\7.", "a source that is refused leaves the reader as it was"


def test_a_reader_without_a_source_is_null_and_an_empty_message_is_not() -> None:
    reader = NetDataReader()
    assert reader.is_null
    assert reader.end_of_data
    with pytest.raises(ReadError):
        reader.get_byte()
    reader.set_source(b"")
    assert not reader.is_null
    reader.set_source(b"abc", 1)
    reader.clear()
    assert reader.is_null
    assert (reader.position, reader.available_bytes, reader.user_data_offset) == (0, 0, 0)
    assert reader.raw_data == b""


def test_an_object_that_cannot_be_read_leaves_the_position() -> None:
    class Broken(Pair):
        def deserialize(self, reader: NetDataReader) -> None:
            super().deserialize(reader)
            raise LookupError("of the application")

    data = b"\1\0\0\0\2\0\0\0hi"
    reader = NetDataReader(data)
    with pytest.raises(LookupError):
        reader.get_serializable(Broken)
    assert reader.position == 0
    assert reader.get_serializable(Pair).values == [1, "hi"]
