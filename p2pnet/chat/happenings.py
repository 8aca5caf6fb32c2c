"""
How it goes with people, as values.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnet.chat.notices import ChatEvent


@dataclass(frozen=True, slots=True)
class PersonReached:
    """
    Hellos have been exchanged.
    """

    peer_id: str


@dataclass(frozen=True, slots=True)
class PersonLost:
    """
    Their last live connection has ended.

    :ivar broken: it broke in a conversation, which waits for another connection.
    :ivar dialled: it was ours; otherwise they had dialled.
    """

    peer_id: str
    why: str
    broken: bool
    dialled: bool


@dataclass(frozen=True, slots=True)
class PersonGone:
    """
    Not even a closing connection is left.
    """

    peer_id: str


CircleEvent = ChatEvent | PersonReached | PersonLost | PersonGone
"""Whatever a circle tells: to consoles, and to who dials people."""
