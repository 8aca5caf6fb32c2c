"""
Who is meant by what somebody typed.  Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from p2pnet.signaling.records import InvalidField, valid_peer_id
from p2pnet.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnet.signaling.records import Record

MAX_LISTED: Final = 4
"""Ids named when a name means several: who asks shows no more than 200 characters."""

_ID_LENGTH: Final = 36
"""Longer than any username, so that nobody can be called like another's id."""
_BEGIN_OF_ID: Final = re.compile(r"[0-9a-f-]{1,36}", re.IGNORECASE)


class NotFound(Exception):
    """
    Nobody can be introduced; the text says why, for a person.

    :ivar reason: as `p2pnet.signaling.shapes.SeekRefused.reason`.
    """

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


def names_of(username: str) -> tuple[str, ...]:
    """
    How somebody of that name may be called: as it is, and as it is shown, with what is unsafe
    written out.
    """
    shown = visible(username).replace("<", r"\x3c").replace(">", r"\x3e")
    return (username,) if shown == username else (username, shown)


def label(who: str) -> tuple[str, str] | None:
    """
    The name, and the begin of the id in small letters, of ``bob#1a2b``; None if it is no label.
    """
    name, _, begin = who.rpartition("#")
    return (name, begin.lower()) if name and _BEGIN_OF_ID.fullmatch(begin) else None


def meant(who: str, records: Sequence[Record], asker: str) -> Record:
    """
    The one online peer, not the asker, that is meant by an id, by a username with ``#`` and the
    begin of the id, or by a username, in this order: so that nobody can pass for ``bob#1a2b``.

    :param records: those with that id or name, and perhaps others.
    :param asker: peer id.
    :raise NotFound: there is none, or more than one.
    """
    by_id = canonical_id(who)
    if by_id is not None:
        return _online(who, [record for record in records if record.peer_id == by_id], asker)
    labelled = label(who)
    if labelled is not None:
        name, begin = labelled
        fitting = [
            record
            for record in records
            if record.peer_id.startswith(begin) and name in names_of(record.username)
        ]
        if fitting:
            return _online(who, fitting, asker)
    return _online(who, [record for record in records if who in names_of(record.username)], asker)


def canonical_id(text: str) -> str | None:
    """
    A whole peer id in its canonical text, or None.
    """
    if len(text) != _ID_LENGTH:
        return None
    try:
        return valid_peer_id(text)
    except InvalidField:
        return None


def _online(who: str, records: Sequence[Record], asker: str) -> Record:
    others = [record for record in records if record.peer_id != asker]
    online = [record for record in others if record.online]
    if len(online) == 1:
        return online[0]
    name = visible(who)
    if online:
        ids = ", ".join(record.peer_id for record in online[:MAX_LISTED])
        more = ", ..." if len(online) > MAX_LISTED else ""
        raise NotFound("ambiguous", f'{len(online)} are called "{name}": {ids}{more}')
    if len(others) < len(records):
        raise NotFound("self", f'"{name}" is you')
    if others:
        raise NotFound("offline", f'"{name}" is offline')
    raise NotFound("unknown", f'nobody is called "{name}"')
