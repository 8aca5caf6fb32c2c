"""
What the chat tells the consoles, as values.
"""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import Interface


@dataclass(frozen=True, slots=True)
class Notice:
    """
    Something worth a line.
    """

    text: str


@dataclass(frozen=True, slots=True)
class ConversationOpened:
    """
    We talk to somebody from now on.
    """

    peer_id: str
    label: str
    """How the person is called here, unlike anybody else."""
    way: str
    """How they are reached: an address, or through which relay."""


@dataclass(frozen=True, slots=True)
class ConversationClosed:
    """
    We talk to somebody no more.

    :ivar reason: for a person; may be empty.
    :ivar by_us: we wanted it.
    """

    peer_id: str
    label: str
    reason: str
    by_us: bool


@dataclass(frozen=True, slots=True)
class ConversationBroken:
    """
    The connection with somebody broke, and is being restored.
    """

    peer_id: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConversationResumed:
    """
    It is restored, and nothing was lost.
    """

    peer_id: str
    label: str


@dataclass(frozen=True, slots=True)
class ConversationGivenUp:
    """
    It could not be restored: we talk to them no more.

    :ivar reason: for a person.
    :ivar texts: of ours; nobody has told us that they arrived.
    """

    peer_id: str
    label: str
    reason: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextsLost:
    """
    A conversation ended, and nobody has told us that these texts of ours arrived.
    """

    label: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextHeard:
    """
    Somebody said something.
    """

    at: float
    """Unix seconds by our own clock: theirs may be wrong."""
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class TextSaid:
    """
    Another console of ours said something.
    """

    at: float
    label: str
    """To whom."""
    text: str


@dataclass(frozen=True, slots=True)
class ChatStopped:
    """
    Nothing follows.
    """


ChatEvent = (
    Notice
    | ConversationOpened
    | ConversationClosed
    | ConversationBroken
    | ConversationResumed
    | ConversationGivenUp
    | TextsLost
    | TextHeard
    | TextSaid
    | ChatStopped
)
"""Whatever the chat tells."""


class IChatObserver(Interface):
    """
    Somebody who watches the chat: a console.
    """

    def told(event: ChatEvent) -> None:
        """
        Something happened.  Texts and labels may hold anything a peer can send (TRAPS T25).
        """
