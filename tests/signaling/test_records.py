from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.signaling.records import (
    InvalidField,
    valid_peer_id,
    valid_port,
    valid_username,
)

CANONICAL = "0123abcd-4567-489a-9bcd-ef0123456789"


@pytest.mark.parametrize("text", [CANONICAL, CANONICAL.upper(), CANONICAL.replace("-", "")])
def test_a_peer_id_is_kept_in_its_canonical_form(text: str) -> None:
    assert valid_peer_id(text) == CANONICAL


@pytest.mark.parametrize(
    "value",
    [
        "",
        "alice",
        None,
        7,
        [CANONICAL],
        CANONICAL + "0",
        CANONICAL[:-1],
        f"{{{CANONICAL}}}",
        f"urn:uuid:{CANONICAL}",
        CANONICAL.replace("-", "", 1),
        CANONICAL + "\n",
        "٠" * 32,
    ],
)
def test_what_is_no_uuid_is_no_peer_id(value: object) -> None:
    with pytest.raises(InvalidField) as raised:
        valid_peer_id(value, "to")
    assert raised.value.field == "to"


@pytest.mark.parametrize(
    "name", ["a", "alice", "Ünïcödé", "名前", "👍", "a b", "'; DROP--", "é" * 32, "/x"]
)
def test_a_username_may_be_anything_printable(name: str) -> None:
    assert valid_username(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "1 to 32"),
        ("a" * 33, "1 to 32"),
        (None, "string"),
        (5, "string"),
        ("a\nb", "printable"),
        ("\x1b[2J", "printable"),
        ("a\x7f", "printable"),
        ("a\x9b31m", "printable"),
        ("\u202eevil", "printable"),
        ("a\u2066b", "printable"),
        ("a\u200bb", "printable"),
        ("a\ud800", "printable"),
        ("a\u2028b", "printable"),
        ("a\u00a0b", "printable"),
        ("\ue000", "printable"),
        ("   ", "blank"),
        ("\u3164", "printable"),
        ("\u2800 \u2800", "printable"),
        ("\u0301", "visible"),
    ],
)
def test_a_username_says_what_is_wrong_with_it(name: object, why: str) -> None:
    with pytest.raises(InvalidField, match=why) as raised:
        valid_username(name)
    assert raised.value.field == "username"


@pytest.mark.parametrize("port", [1, 9050, 65535])
def test_a_port(port: int) -> None:
    assert valid_port(port) == port


@pytest.mark.parametrize("port", [0, -1, 65536, 10**30, True, 1.0, "80", None, []])
def test_what_is_no_port(port: object) -> None:
    with pytest.raises(InvalidField) as raised:
        valid_port(port)
    assert raised.value.field == "port"


@given(st.one_of(st.text(), st.none(), st.binary(), st.integers(), st.floats()))
def test_nothing_but_invalid_field_is_raised(value: object) -> None:
    for valid in (valid_peer_id, valid_username, valid_port):
        with suppress(InvalidField):
            valid(value)
