"""
Bytes become values again, and nothing is read that is not there (PITFALLS A5, B5, B7).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.serialization import NetDataReader, NetDataWriter, ReadError

Get = Callable[[NetDataReader], object]

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
    with pytest.raises(ReadError, match=str(count)):
        reader.get_bytes_with_length()
    assert reader.position == 0


@pytest.mark.parametrize("count", [4, 1000, 2**31 - 1])
def test_strings_announced_in_excess_are_refused(count: int) -> None:
    reader = NetDataReader(struct.pack("<i", count) + b"abc")
    with pytest.raises(ReadError, match=str(count)):
        reader.get_string()
    assert reader.position == 0


@pytest.mark.parametrize("count", [0, -1, -(2**31)])
def test_a_string_of_no_length_or_less_is_empty_as_in_the_reference(count: int) -> None:
    reader = NetDataReader(struct.pack("<i", count) + b"abc")
    assert reader.get_string() == ""
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
    writer = NetDataWriter()
    writer.put_endpoint((host, 80))
    reader = NetDataReader(writer.data())
    with pytest.raises(ReadError):
        reader.get_endpoint()
    assert reader.position == 0


@pytest.mark.parametrize("port", [0, -1, 65536, 2**31 - 1, -(2**31)])
def test_only_real_ports_are_endpoints(port: int) -> None:
    writer = NetDataWriter()
    writer.put_endpoint(("10.0.0.1", port))
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


KINDS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "byte": st.integers(0, 255),
    "sbyte": st.integers(-128, 127),
    "short": st.integers(-(2**15), 2**15 - 1),
    "ushort": st.integers(0, 2**16 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "uint": st.integers(0, 2**32 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "ulong": st.integers(0, 2**64 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "bytes_with_length": st.binary(max_size=300),
    # Surrogates do not survive, by design.
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    "endpoint": st.tuples(
        st.ip_addresses().map(str),
        st.integers(1, 65535),
    ),
}
VALUES = st.lists(
    st.one_of([st.tuples(st.just(kind), values) for kind, values in KINDS.items()]), max_size=30
)


def same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    return a == b


def written(values: list[tuple[str, Any]]) -> bytes:
    writer = NetDataWriter()
    for kind, value in values:
        getattr(writer, f"put_{kind}")(value)
    return writer.data()


def read_all(reader: NetDataReader, values: list[tuple[str, Any]]) -> list[Any]:
    return [getattr(reader, f"get_{kind}")() for kind, _ in values]


@given(VALUES)
def test_whatever_is_written_is_read_back(values: list[tuple[str, Any]]) -> None:
    reader = NetDataReader(written(values))
    for (_, value), read in zip(values, read_all(reader, values), strict=True):
        assert same(value, read)
    assert reader.end_of_data


@given(VALUES, st.data())
def test_a_message_cut_anywhere_ends_in_a_refusal(
    values: list[tuple[str, Any]], data: st.DataObject
) -> None:
    whole = written(values)
    if not whole:
        return
    reader = NetDataReader(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ReadError):
        read_all(reader, values)


@given(st.binary(max_size=200), st.lists(st.sampled_from([*KINDS, "remaining_bytes"])))
def test_whatever_arrives_is_read_or_refused(data: bytes, kinds: list[str]) -> None:
    reader = NetDataReader(data)
    for kind in kinds:
        before = reader.position
        try:
            getattr(reader, f"get_{kind}")()
        except ReadError:
            assert reader.position == before
        assert before <= reader.position <= len(data)


@given(st.text(st.characters(), max_size=50))
def test_any_text_at_all_can_be_written(text: str) -> None:
    reader = NetDataReader(written([("string", text)]))
    assert len(reader.get_string()) <= len(text)
    assert reader.end_of_data


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_makes_the_trip(ip: IPv4Address | IPv6Address, port: int) -> None:
    reader = NetDataReader(written([("endpoint", (str(ip), port))]))
    assert reader.get_endpoint() == (str(ip), port)
