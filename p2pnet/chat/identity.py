"""
Who we are to others: an id made at start, and a name a person can read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID, uuid4

from p2pnet.chat.text import VARIATION_SELECTORS, is_safe

MAX_USERNAME: Final = 32
"""Characters; the limit of the registration (signaling)."""


def check_username(name: str) -> str:
    """
    `name`, if it can be one.

    :raise ValueError: it is not 1..32 printable characters, or blanks begin or end it.
    """
    if not 1 <= len(name) <= MAX_USERNAME:
        raise ValueError(f"username: 1 to {MAX_USERNAME} characters, not {len(name)}")
    for character in name:
        # Stricter than `is_safe`: two names must not differ by something nobody can see.
        unseen = not character.isprintable() or character in VARIATION_SELECTORS
        if unseen or not is_safe(character):
            raise ValueError(f"username: U+{ord(character):04X} is not a printable character")
    if name != name.strip():
        raise ValueError("username: begins or ends with a blank")
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
