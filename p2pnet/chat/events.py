"""
What a session tells, as values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Cause(Enum):
    """
    Who ended a session.
    """

    US = auto()
    """We wanted it."""
    THEM = auto()
    """They said goodbye."""
    TROUBLE = auto()
    """They did not keep to the protocol."""
    LOST = auto()
    """The connection broke, which nobody wanted."""


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """
    Their hello has come, and ours is on its way.

    :ivar peer_id: a UUID in its canonical text.
    :ivar version: what they say of their chat; at most 64 characters.
    :ivar resumes: they go on with a conversation whose connection broke.
    """

    peer_id: str
    username: str
    version: str
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class TextReceived:
    """
    They said something.
    """

    text: str
    timestamp: float
    """Unix seconds by the sender's clock."""


@dataclass(frozen=True, slots=True)
class PongReceived:
    """
    They have answered a ping.
    """

    round_trip: float
    """Seconds."""
    requested: bool
    """A person asked; otherwise it was a heartbeat."""


@dataclass(frozen=True, slots=True)
class PeerRenamed:
    """
    They go by another name from now on.
    """

    username: str


@dataclass(frozen=True, slots=True)
class ClosingBegun:
    """
    Nothing can be said any more.  `SessionClosed` follows when the connection can go, too.
    """

    reason: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """
    The last event: the connection has served.
    """

    reason: str
    cause: Cause
    linger: float
    """Seconds the other side still listens for what we said before."""


SessionEvent = (
    SessionOpened | TextReceived | PongReceived | PeerRenamed | ClosingBegun | SessionClosed
)
"""Whatever a session tells."""


@dataclass(slots=True)
class Counts:
    """
    What went through: texts sent and received, messages ignored, and messages not understood.
    """

    sent: int = 0
    received: int = 0
    ignored: int = 0
    malformed: int = 0

    def add(self, other: Counts) -> None:
        """
        Count what ``other`` has counted.
        """
        self.sent += other.sent
        self.received += other.received
        self.ignored += other.ignored
        self.malformed += other.malformed
