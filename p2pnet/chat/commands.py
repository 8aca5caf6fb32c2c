"""
What can be typed at a console, as a table, and how a line is taken apart.  Pure.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final


class UsageError(Exception):
    """
    A line that is no command; the text names what is wrong with it.
    """


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    One argument of a command.

    :ivar rest: takes the rest of the line as it stands; otherwise one word, or several in quotes.
    """

    name: str
    optional: bool = False
    rest: bool = False

    def __str__(self) -> str:
        return f"[{self.name}]" if self.optional else self.name


@dataclass(frozen=True, slots=True)
class Command:
    """
    A line of the table.

    :ivar summary: what it does, for /help.
    """

    name: str
    parameters: tuple[Parameter, ...]
    summary: str

    @property
    def usage(self) -> str:
        """
        As in ``/msg NAME TEXT``.
        """
        return " ".join([f"/{self.name}", *map(str, self.parameters)])


_NAME = Parameter("NAME")
_ANY_NAME = Parameter("NAME", optional=True)

COMMANDS: Final[dict[str, Command]] = {
    command.name: command
    for command in (
        Command(
            "help",
            (Parameter("command", optional=True),),
            "what can be typed here",
        ),
        Command("peers", (), "everybody who is registered"),
        Command(
            "connect",
            (Parameter("NAME|ID"),),
            "find somebody, by name or id, and start a conversation",
        ),
        Command(
            "msg",
            (_NAME, Parameter("TEXT", rest=True)),
            "say something to somebody you are connected to",
        ),
        Command("focus", (_NAME,), "choose who gets the lines that are no command"),
        Command("who", (), "the conversations, and which one has the focus"),
        Command("nick", (_NAME,), "change your name"),
        Command("away", (), "have others see in /peers that you are not there"),
        Command("back", (), "have them see that you are"),
        Command("ping", (_ANY_NAME,), "measure how long somebody takes to answer"),
        Command("stats", (), "numbers about the connections"),
        Command("why", (Parameter("NAME|ID"),), "how somebody was reached, or why they were not"),
        Command(
            "reach",
            (Parameter("PORT", optional=True),),
            "whether strangers can reach you, or another UDP port here",
        ),
        Command("disconnect", (_ANY_NAME,), "end a conversation"),
        Command("quit", (), "leave this console"),
    )
}
"""
In the order in which /help shows them.
"""


@dataclass(frozen=True, slots=True)
class Say:
    """
    A bare line: text for whoever has the focus.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """
    A command with its arguments; optional ones may be missing at the end.
    """

    command: Command
    arguments: tuple[str, ...]


def parse(line: str) -> Say | Invocation | None:
    """
    What a line asks for; None for a blank one.

    ``/name arguments`` is a command, ``//text`` says ``/text``, anything else says itself.

    :raise UsageError: no such command, or its arguments are wrong.
    """
    if not line.strip():
        return None
    if not line.startswith("/"):
        return Say(line)
    if line.startswith("//"):
        return Say(line[1:])
    name, _, rest = line[1:].partition(" ")
    return _invocation(find_command(name), rest)


def find_command(name: str) -> Command:
    """
    The command called ``name``, with or without its slash, in any case.

    :raise UsageError: there is none; suggests the nearest.
    """
    name = name.strip().removeprefix("/").lower()
    command = COMMANDS.get(name)
    if command is not None:
        return command
    # A name as long as a message would only slow the comparison down.
    nearest = difflib.get_close_matches(name[:32], COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean /{nearest[0]}?" if nearest else "/help lists what there is"
    raise UsageError(f"there is no /{name[:32]} - {hint}")


def _invocation(command: Command, rest: str) -> Invocation:
    arguments = []
    for parameter in command.parameters:
        rest = rest.lstrip(" ")
        if not rest:
            if parameter.optional:
                break
            raise UsageError(f"{parameter.name} is missing - usage: {command.usage}")
        if parameter.rest:
            argument, rest = rest, ""
        else:
            argument, rest = _word(command, parameter, rest)
        if not argument:
            raise UsageError(f"{parameter.name} is empty - usage: {command.usage}")
        arguments.append(argument)
    if rest.strip():
        quotes = " (put a name with blanks in quotes)" if command.parameters else ""
        raise UsageError(f'"{rest.strip()}" is too much{quotes} - usage: {command.usage}')
    return Invocation(command, tuple(arguments))


def _word(command: Command, parameter: Parameter, rest: str) -> tuple[str, str]:
    """
    The first word, and what follows it.  In quotes ``\\"`` is a quote and ``\\\\`` a backslash.
    """
    if not rest.startswith('"'):
        word, _, rest = rest.partition(" ")
        return word, rest
    word = ""
    characters = iter(enumerate(rest[1:], 2))
    for position, character in characters:
        if character == '"':
            return word, rest[position:]
        if character == "\\" and rest[position : position + 1] in ('"', "\\"):
            _, character = next(characters)
        word += character
    raise UsageError(f"{parameter.name} has no closing quote - usage: {command.usage}")
