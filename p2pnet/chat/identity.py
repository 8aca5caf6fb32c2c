"""
Who we are to others: an id made at start, and a name a person can read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from p2pnet.text import username_fault


def check_username(name: str) -> str:
    """
    ``name``, if it can be one.

    :raise ValueError: it cannot; see `username_fault`.
    """
    fault = username_fault(name)
    if fault is not None:
        raise ValueError(f"username {fault}")
    return name


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Ourselves.

    :ivar peer_id: a UUID, in its canonical text.
    :ivar username: see `check_username`.
    """

    peer_id: str
    username: str

    def renamed(self, username: str) -> Identity:
        """
        The same one under another name.

        :raise ValueError: see `check_username`.
        """
        return replace(self, username=check_username(username))


def make_identity(username: str | None = None, peer_id: UUID | None = None) -> Identity:
    """
    A new identity; without a name it is ``guest-`` and the first four hex digits of the id.

    :raise ValueError: see `check_username`.
    """
    identifier = str(uuid4() if peer_id is None else peer_id)
    name = f"guest-{identifier[:4]}" if username is None else check_username(username)
    return Identity(identifier, name)
