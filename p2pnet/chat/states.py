"""
The states of a session, and what leads from one to another.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class SessionState(Enum):
    """
    Where a session is in its life.
    """

    GREETING = auto()
    """Their hello has not come."""
    OPEN = auto()
    """Hellos have been exchanged."""
    CLOSING = auto()
    """We said disconnect; what they still say is heard."""
    REFUSING = auto()
    """We said disconnect because of what they did; they are not heard any more."""
    CLOSED = auto()
    """Nothing is said or heard any more."""


class Step(Enum):
    """
    What moves a session.
    """

    HELLO = auto()
    """Their hello came."""
    CLOSE = auto()
    """We want to end it."""
    REFUSE = auto()
    """They did what they must not."""
    END = auto()
    """The other side has closed, the connection is gone, or the time for that is over."""


MOVES: Final[dict[tuple[SessionState, Step], SessionState]] = {
    (SessionState.GREETING, Step.HELLO): SessionState.OPEN,
    (SessionState.GREETING, Step.CLOSE): SessionState.CLOSING,
    (SessionState.GREETING, Step.REFUSE): SessionState.REFUSING,
    (SessionState.GREETING, Step.END): SessionState.CLOSED,
    (SessionState.OPEN, Step.HELLO): SessionState.OPEN,
    (SessionState.OPEN, Step.CLOSE): SessionState.CLOSING,
    (SessionState.OPEN, Step.REFUSE): SessionState.REFUSING,
    (SessionState.OPEN, Step.END): SessionState.CLOSED,
    (SessionState.CLOSING, Step.HELLO): SessionState.CLOSING,
    (SessionState.CLOSING, Step.REFUSE): SessionState.REFUSING,
    (SessionState.CLOSING, Step.END): SessionState.CLOSED,
    (SessionState.REFUSING, Step.END): SessionState.CLOSED,
}
"""Where each step leads; what is not here cannot happen."""

LIVE: Final = frozenset({SessionState.GREETING, SessionState.OPEN})
"""States in which something can be said."""
