"""
Everybody we talk to: people, their connections, and what they are called.

What comes up from here are the events of notices.py, for the consoles, and how it went with people,
for whoever dials them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from p2pnet.chat.dialing import Standing
from p2pnet.chat.events import (
    Cause,
    ClosingBegun,
    Counts,
    PeerRenamed,
    PongReceived,
    SessionEvent,
    SessionOpened,
    TextReceived,
)
from p2pnet.chat.identity import Identity
from p2pnet.chat.link import Link
from p2pnet.chat.listening import reason_of
from p2pnet.chat.notices import (
    ChatEvent,
    ConversationClosed,
    ConversationOpened,
    Notice,
    TextHeard,
)
from p2pnet.chat.people import Person, labels
from p2pnet.chat.session import Session
from p2pnet.chat.text import written
from p2pnet.interfaces import Address, DeliveryMethod, DisconnectInfo, INetPeer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

MAX_LINKS: Final = 64
"""Connections at one time."""
MAX_LINKS_EACH: Final = 4
"""Connections with one person; more than one only until it is settled which one stays."""


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
    """

    peer_id: str
    why: str


@dataclass(frozen=True, slots=True)
class PersonGone:
    """
    Not even a closing connection is left.
    """

    peer_id: str


CircleEvent = ChatEvent | PersonReached | PersonLost | PersonGone


@dataclass(frozen=True, slots=True)
class ConversationView:
    """
    How a conversation stands.

    :ivar round_trip: seconds, by the engine; 0.0 before the first measurement.
    :ivar mtu: bytes.
    :ivar unacknowledged: messages of ours not yet known to have arrived.
    """

    person: Person
    label: str
    address: Address
    round_trip: float
    mtu: int
    unacknowledged: int
    counts: Counts


@dataclass(slots=True, eq=False)
class _Conversation:
    person: Person
    links: list[Link] = field(default_factory=list)
    """Those that are open are in the order in which they opened."""
    told: bool = False
    """Others know that it is open."""

    def current(self) -> Link | None:
        """
        Where to say something: the connection that proved itself last.
        """
        live = [link for link in self.links if link.live]
        opened = [link for link in live if link.open]
        return next(reversed(opened or live), None)


class Circle:
    """
    All conversations.  At most one connection with each person stays.

    :param deliver: told of every event; may call back at once.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        heartbeat: float,
        deliver: Callable[[CircleEvent], None],
    ) -> None:
        self.identity = identity
        self._clock = clock
        self._wall = wall
        self._heartbeat = heartbeat
        self._deliver = deliver
        self._links: dict[INetPeer, Link] = {}
        self._talks: dict[str, _Conversation] = {}
        self._ended = Counts()

    # ------------------------------------------------------------ the engine

    def met(self, peer: INetPeer, peer_id: str, *, dialled: bool) -> None:
        """
        A connection with `peer_id` is open.
        """
        if peer in self._links:
            return
        now = self._clock.seconds()
        session = Session(
            self.identity,
            now=now,
            epoch=self._wall() - now,
            expected=peer_id,
            heartbeat=self._heartbeat,
        )
        link = Link(peer, peer_id, session, self._clock, dialled=dialled, deliver=self._happened)
        self._links[peer] = link
        talk = self._talks.setdefault(peer_id, _Conversation(Person(peer_id, peer_id)))
        talk.links.append(link)
        link.start()

    def heard(self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod) -> None:
        """
        One message came; all of a conversation is on channel 0, reliable and ordered.
        """
        link = self._links.get(peer)
        if link is None:
            return
        if channel != 0 or method != DeliveryMethod.RELIABLE_ORDERED:
            link.session.counts.ignored += 1
            return
        link.receive(data)

    def parted(self, peer: INetPeer, info: DisconnectInfo) -> None:
        """
        A connection has ended.
        """
        link = self._links.pop(peer, None)
        if link is None:
            return
        link.lost(reason_of(info))
        self._ended.add(link.session.counts)
        talk = self._talks[link.peer_id]
        talk.links.remove(link)
        if not talk.links:
            del self._talks[link.peer_id]
            self._deliver(PersonGone(link.peer_id))

    # ------------------------------------------------------------ questions

    def standing(self, peer_id: str) -> Standing:
        """
        How we stand with somebody.
        """
        talk = self._talks.get(peer_id)
        if talk is None:
            return Standing.APART
        link = talk.current()
        if link is None:
            return Standing.PARTING
        return Standing.TALKING if link.open else Standing.MEETING

    def talking(self, peer_id: str) -> Link | None:
        """
        Where to say something to somebody; None when we do not talk to them.
        """
        talk = self._talks.get(peer_id)
        return talk.current() if talk is not None and talk.told else None

    def links(self, peer_id: str | None = None) -> list[Link]:
        """
        The connections with one person, or all.
        """
        if peer_id is None:
            return list(self._links.values())
        talk = self._talks.get(peer_id)
        return [] if talk is None else list(talk.links)

    def room_for(self, peer_id: str) -> bool:
        """
        Another connection with `peer_id` is within the limits.
        """
        return len(self._links) < MAX_LINKS and len(self.links(peer_id)) < MAX_LINKS_EACH

    def called(self) -> dict[Person, str]:
        """
        The people we talk to, and their labels.
        """
        return self._called(talk.person for talk in self._talks.values() if talk.told)

    def label(self, peer_id: str) -> str:
        """
        What one of them is called.
        """
        talk = self._talks.get(peer_id)
        if talk is None:
            return peer_id
        return self._called([*self.called(), talk.person])[talk.person]

    def views(self) -> list[ConversationView]:
        """
        Their conversations.
        """
        views = []
        for person, label in self.called().items():
            talk = self._talks[person.peer_id]
            link = talk.current()
            if link is not None:
                peer, counts = link.peer, self._counts(Counts(), talk.links)
                views.append(
                    ConversationView(
                        person,
                        label,
                        peer.address,
                        peer.round_trip_time,
                        peer.mtu,
                        peer.unacknowledged,
                        counts,
                    )
                )
        return views

    def counts(self) -> Counts:
        """
        Of all conversations, those that have ended included.
        """
        return self._counts(self._ended, self._links.values())

    # ------------------------------------------------------------ commands

    def rename(self, identity: Identity) -> None:
        """
        Tell everybody our new name.
        """
        self.identity = identity
        for link in self.links():
            link.rename(identity)

    def close(self, reason: str, peer_id: str | None = None) -> None:
        """
        Say goodbye to one person, or to all.
        """
        for link in self.links(peer_id):
            link.close(reason)

    def cut(self, reason: str) -> None:
        """
        Hang up on everybody, whatever is under way.
        """
        for link in self.links():
            link.cut(reason)

    # ------------------------------------------------------------ inside

    def _happened(self, link: Link, event: SessionEvent) -> None:
        talk = self._talks[link.peer_id]
        match event:
            case SessionOpened():
                self._opened(link, talk, event.username)
            case TextReceived():
                self._deliver(TextHeard(self._wall(), self.label(link.peer_id), event.text))
            case PongReceived(requested=True):
                milliseconds = event.round_trip * 1000
                label = self.label(link.peer_id)
                self._deliver(Notice(f"{label} answered in {milliseconds:.1f} ms"))
            case PeerRenamed():
                before = self.label(link.peer_id)
                talk.person = Person(link.peer_id, event.username)
                after = self.label(link.peer_id)
                self._deliver(Notice(f"{before} is now called {after}"))
            case ClosingBegun():
                self._closing(link, talk, event)

    def _opened(self, link: Link, talk: _Conversation, username: str) -> None:
        talk.person = Person(link.peer_id, username)
        if not link.live:
            return
        rivals = [other for other in talk.links if other is not link and other.open]
        talk.links.remove(link)
        talk.links.append(link)
        for rival in rivals:
            loser = self._loser(rival, link)
            if loser is not None:
                loser.close("there is another connection")
        if not talk.told:
            talk.told = True
            label = self.label(link.peer_id)
            self._deliver(ConversationOpened(link.peer_id, label, link.peer.address))
        self._deliver(PersonReached(link.peer_id))

    def _loser(self, older: Link, newer: Link) -> Link | None:
        """
        Which of two connections with one person is for us to close.

        Both sides dialled: the one dialled by the smaller id stays, and the other is closed by
        who dialled it.  Until then either may be spoken on: of a side that does not know the one
        that stays any more, the other is all there is.  One side dialled twice: it has lost the
        older.
        """
        if older.dialled == newer.dialled:
            return older
        if self.identity.peer_id < newer.peer_id:
            return None
        return older if older.dialled else newer

    def _closing(self, link: Link, talk: _Conversation, closing: ClosingBegun) -> None:
        if talk.current() is not None:
            return
        by_us = closing.cause is Cause.US
        if talk.told:
            label = self.label(link.peer_id)
            talk.told = False
            self._deliver(ConversationClosed(link.peer_id, label, closing.reason, by_us))
        elif not link.dialled and not by_us:
            address = written(link.peer.address)
            self._deliver(Notice(f"a connection from {address} came to nothing: {closing.reason}"))
        self._deliver(PersonLost(link.peer_id, closing.reason))

    def _called(self, people: Iterable[Person]) -> dict[Person, str]:
        # Our own name is nobody else's alone.
        people = dict.fromkeys(people)
        names = labels(people, taken=[self.identity.username])
        return {person: names[person.peer_id] for person in people}

    @staticmethod
    def _counts(start: Counts, links: Iterable[Link]) -> Counts:
        counts = Counts()
        counts.add(start)
        for link in links:
            counts.add(link.session.counts)
        return counts
