"""
What peers write is safe to show.
"""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.chat.text import MAX_SHOWN_LINES, shown_lines
from p2pnet.text import visible, written

ANY_TEXT = st.text(st.characters())  # surrogates, controls and unassigned ones included


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("héllo wörld ☃ 日本語 🎉 ❤️", "héllo wörld ☃ 日本語 🎉 ❤️"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\x7fb\x00c\td\re", r"a\x7fb\x00c\td\re"),
        ("abc\u202edef\u2066x", r"abc\u202edef\u2066x"),
        ("in\u200bvisi\ufeffble\u00ad", r"in\u200bvisi\ufeffble\xad"),
        ("\U000e0041\u3164\u2800", r"\U000e0041\u3164\u2800"),
        ("\u2028\u2029\x85\x0b", r"\u2028\u2029\x85\x0b"),
        ("\ud800", r"\ud800"),
    ],
)
def test_unsafe_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(ANY_TEXT)
def test_no_control_character_is_ever_shown(text: str) -> None:
    for line in [visible(text), *shown_lines(text)]:
        assert not {c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert len(line.splitlines()) <= 1
        line.encode()


@given(ANY_TEXT)
def test_making_visible_twice_changes_nothing_more(text: str) -> None:
    assert visible(visible(text)) == visible(text)


def test_line_ends_part_lines() -> None:
    assert shown_lines("one\ntwo\r\nthree\n") == ["one", "two", "three"]
    assert shown_lines("\n\n") == ["", ""]
    assert shown_lines("") == [""]


def test_a_text_of_line_ends_does_not_fill_the_screen() -> None:
    lines = shown_lines("\n" * 32768)
    assert len(lines) == MAX_SHOWN_LINES
    assert lines[-1].startswith(r"\n\n")


def test_addresses_are_written_as_people_do() -> None:
    assert written(("192.0.2.4", 9050)) == "192.0.2.4:9050"
    assert written(("2001:db8::1", 9050)) == "[2001:db8::1]:9050"
