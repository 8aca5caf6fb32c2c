"""
A conversation with one person, over whatever connections there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p2pnet.chat.events import Counts

if TYPE_CHECKING:
    from p2pnet.chat.ledger import Ledger
    from p2pnet.chat.link import Link
    from p2pnet.chat.paths import Way
    from p2pnet.chat.people import Person


@dataclass(frozen=True, slots=True)
class ConversationView:
    """
    How a conversation stands.

    :ivar way: None while the connection is broken.
    :ivar round_trip: seconds, by the engine; 0.0 before the first measurement.
    :ivar mtu: bytes; 0 without a connection.
    :ivar unacknowledged: packets of ours not yet known to have arrived.
    :ivar waiting: lines of ours not yet known to have arrived.
    """

    person: Person
    label: str
    way: Way | None
    round_trip: float
    mtu: int
    unacknowledged: int
    waiting: int
    counts: Counts


@dataclass(slots=True, eq=False)
class Conversation:
    """
    What we know of one of those we talk to, or will.

    :ivar links: those that are open are in the order in which they opened.
    :ivar told: others know that it is open.
    :ivar broken: it is, but there is no connection to talk over.
    """

    person: Person
    ledger: Ledger
    links: list[Link] = field(default_factory=list)
    told: bool = False
    broken: bool = False
    _ended: Counts = field(default_factory=Counts)
    """Of the connections before."""

    def current(self) -> Link | None:
        """
        Where to say something: the connection that proved itself last.
        """
        live = [link for link in self.links if link.live]
        opened = [link for link in live if link.open]
        return next(reversed(opened or live), None)

    def remove(self, link: Link) -> None:
        """
        A connection has ended.
        """
        self.links.remove(link)
        self._ended.add(link.session.counts)

    def counts(self) -> Counts:
        """
        Of all its connections.
        """
        counts = Counts()
        counts.add(self._ended)
        for link in self.links:
            counts.add(link.session.counts)
        return counts
