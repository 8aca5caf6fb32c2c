"""
Who may see and reach whom.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Listing(Enum):
    """
    Who is listed, and found by name.
    """

    OPEN = "open"
    """Who is in no room, for everybody; members of a room, for its members."""
    ROOMS = "rooms"
    """Members of a room, for its members.  Who is in no room is alone."""
    OFF = "off"
    """Nobody; who knows a peer's whole id reaches it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """
    A room is a wall: whoever is in another one, or in none, is to a peer as if not registered.

    :ivar listing: see there.
    """

    listing: Listing = Listing.OPEN

    def reaches(self, asker: str | None, other: str | None) -> bool:
        """
        Whether who knows a peer's id may look it up and be introduced to it.

        :param asker: the room of the asker; None is no room, or nobody we know.
        :param other: the room of the peer.
        """
        return asker == other and (other is not None or self.listing is not Listing.ROOMS)

    def lists(self, room: str | None) -> bool:
        """
        Whether those in ``room``, who are in none if it is None, are listed for one another, found
        by name and followed in the feed of changes.
        """
        return self.listing is Listing.OPEN or (
            self.listing is Listing.ROOMS and room is not None
        )
