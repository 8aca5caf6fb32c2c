"""
Who we are to others.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from p2pnet.chat.identity import check_username, make_identity
from p2pnet.text import MAX_USERNAME
from tests.chat.stage import ALICE


def test_every_start_makes_a_new_id() -> None:
    first, second = make_identity("alice"), make_identity("alice")
    assert first.peer_id != second.peer_id
    assert str(UUID(first.peer_id)) == first.peer_id


def test_a_guest_is_named_after_the_id() -> None:
    assert make_identity(peer_id=ALICE).username == "guest-aaaa"


@pytest.mark.parametrize(
    "name", ["a", "x" * MAX_USERNAME, "Jörg Müller", "日本語", "🎉", "o'brien", "❤\ufe0f"]
)
def test_names_people_have_are_taken(name: str) -> None:
    assert check_username(name) == name
    assert make_identity("x").renamed(name).username == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * (MAX_USERNAME + 1),
        "a\nb",
        "\x1b[31m",
        "bob\u200b",
        "\u202ebob",
        "bob\u3164",
        " bob",
        "bob ",
        "\ud800",
    ],
)
def test_names_that_deceive_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^username must"):
        check_username(name)
    with pytest.raises(ValueError, match=r"^username must"):
        make_identity(name)
