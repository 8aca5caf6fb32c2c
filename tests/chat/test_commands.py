"""
What can be typed.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.chat.commands import COMMANDS, Invocation, Say, UsageError, parse


def arguments(line: str) -> tuple[str, tuple[str, ...]]:
    parsed = parse(line)
    assert isinstance(parsed, Invocation)
    return parsed.command.name, parsed.arguments


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("hello there", "hello there"),
        ("  indented", "  indented"),
        ("//quit is a command", "/quit is a command"),
        ("//", "/"),
        ("a /help", "a /help"),
    ],
)
def test_other_lines_are_said(line: str, text: str) -> None:
    assert parse(line) == Say(text)


@pytest.mark.parametrize("line", ["", "   ", "\t"])
def test_blank_lines_are_nothing(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        ("/peers", "peers", ()),
        ("/PEERS  ", "peers", ()),
        ("/connect bob", "connect", ("bob",)),
        ("/msg bob hello  there ", "msg", ("bob", "hello  there ")),
        ('/msg "bob b" hi', "msg", ("bob b", "hi")),
        (r'/msg "the \"boss\" \\" hi', "msg", (r'the "boss" \ '.strip(), "hi")),
        ("/msg o'brien hi", "msg", ("o'brien", "hi")),
        ('/msg bob "quoted"', "msg", ("bob", '"quoted"')),
        ("/ping", "ping", ()),
        ("/ping bob", "ping", ("bob",)),
        ('/nick "the boss"', "nick", ("the boss",)),
        ("/help /msg", "help", ("/msg",)),
        ("/why bob", "why", ("bob",)),
        ("/reach", "reach", ()),
        ("/reach 4000", "reach", ("4000",)),
    ],
)
def test_commands_have_arguments(line: str, name: str, expected: tuple[str, ...]) -> None:
    assert arguments(line) == (name, expected)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("/connect", "NAME|ID is missing"),
        ("/msg", "NAME is missing"),
        ("/msg bob", "TEXT is missing"),
        ("/msg bob  ", "TEXT is missing"),
        ("/focus", "NAME is missing"),
        ("/focus bob b", '"b" is too much (put a name with blanks in quotes)'),
        ('/focus "bob', "NAME has no closing quote"),
        ('/focus ""', "NAME is empty"),
        ("/quit now", '"now" is too much'),
        ("/conect bob", "did you mean /connect?"),
        ("/mgs bob x", "did you mean /msg?"),
        ("/xyzzy", "/help lists"),
        ("/", "/help lists"),
        ("/ help", "/help lists"),
    ],
)
def test_mistakes_are_named(line: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(line)
    assert complaint in str(error.value)


def test_usage_shows_what_is_optional() -> None:
    assert COMMANDS["help"].usage == "/help [command]"
    assert COMMANDS["msg"].usage == "/msg NAME TEXT"
    listed = " ".join(COMMANDS)
    talking = "help peers connect msg focus who nick away back ping"
    assert listed == f"{talking} stats why reach disconnect quit"


@given(st.text().map(lambda text: "/" + text))
def test_any_line_is_a_command_or_a_mistake(line: str) -> None:
    with suppress(UsageError):
        parse(line)


def test_an_endless_command_name_is_cut() -> None:
    with pytest.raises(UsageError) as error:
        parse("/" + "x" * 60_000)
    assert len(str(error.value)) < 100
