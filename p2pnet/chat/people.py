"""
Telling people apart: what they are called here, and who is meant by a name.  Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from p2pnet.text import visible

MAX_LISTED: Final = 8
"""Ids named when a name means several people."""


class NoSuchPerson(Exception):
    """
    Nobody is meant; the text is for a person.
    """


class AmbiguousName(Exception):
    """
    Several people are meant; the text, for a person, lists their ids.
    """


@dataclass(frozen=True, slots=True)
class Person:
    """
    Somebody by id (UUID text) and name.
    """

    peer_id: str
    username: str


def canonical_id(text: str) -> str | None:
    """
    A full peer id in its canonical text, or None.
    """
    try:
        return str(UUID(text)) if len(text) == 36 else None
    except ValueError:
        return None


def labels(people: Iterable[Person], taken: Iterable[str] = ()) -> dict[str, str]:
    """
    What to call each person, by peer id: the name, and ``#`` with the begin of the id if need be.

    A name with ``#`` in it always gets its own, so that nobody can pass for ``bob#1a2b``; angle
    brackets are written out, for they end a name in ``<bob> text``.

    :param taken: names that are nobody's alone, such as our own.
    """
    people = list(people)
    uses = Counter(person.username for person in people)
    uses.update(taken)
    starts = Counter((person.username, person.peer_id[:4]) for person in people)
    return {
        person.peer_id: _label(
            person,
            alone=uses[person.username] == 1,
            digits=4 if starts[person.username, person.peer_id[:4]] == 1 else 36,
        )
        for person in people
    }


def _label(person: Person, *, alone: bool, digits: int) -> str:
    name = visible(person.username).replace("<", r"\x3c").replace(">", r"\x3e")
    return name if alone and "#" not in name else f"{name}#{person.peer_id[:digits]}"


def find(who: str, called: Mapping[Person, str]) -> Person:
    """
    Who is meant by an id, a label or a name, in this order.

    :param called: the people to choose from, with their labels.
    :raise NoSuchPerson: nobody.
    :raise AmbiguousName: more than one; by name.
    """
    identifier = canonical_id(who)
    for person in called:
        if person.peer_id == identifier:
            return person
    for person, label in called.items():
        if label == who:
            return person
    namesakes = [person for person in called if person.username == who]
    if not namesakes:
        raise NoSuchPerson(f'nobody is called "{who}"')
    if len(namesakes) > 1:
        ids = ", ".join(person.peer_id for person in namesakes[:MAX_LISTED])
        more = ", ..." if len(namesakes) > MAX_LISTED else ""
        raise AmbiguousName(f'{len(namesakes)} are called "{who}": {ids}{more}')
    return namesakes[0]
