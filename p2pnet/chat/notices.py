"""
What the chat tells the consoles, as values.
"""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import Interface

from p2pnet.interfaces import Address


@dataclass(frozen=True, slots=True)
class Notice:
    """
    Something worth a line.
    """

    text: str


@dataclass(frozen=True, slots=True)
class ConversationOpened:
    peer_id: str
    label: str
    """How the person is called here, unlike anybody else."""
    address: Address


@dataclass(frozen=True, slots=True)
class ConversationClosed:
    peer_id: str
    label: str
    reason: str
    by_us: bool


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


ChatEvent = Notice | ConversationOpened | ConversationClosed | TextHeard | TextSaid | ChatStopped


class IChatObserver(Interface):
    """
    Somebody who watches the chat: a console.
    """

    def told(event: ChatEvent) -> None:
        """
        Something happened.  Texts and labels may hold anything a peer can send (TRAPS T25).
        """
