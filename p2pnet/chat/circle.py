"""
Everybody we talk to: people, their connections, and what they are called.

What comes up from here are the events of notices.py, for the consoles, and how it went with people,
for whoever dials them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from p2pnet.chat.conversation import Conversation, ConversationView
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
from p2pnet.chat.happenings import CircleEvent, PersonGone, PersonLost, PersonReached
from p2pnet.chat.identity import Identity
from p2pnet.chat.ledger import Ledgers
from p2pnet.chat.link import Link
from p2pnet.chat.listening import cause_of, reason_of
from p2pnet.chat.notices import (
    ConversationBroken,
    ConversationClosed,
    ConversationGivenUp,
    ConversationOpened,
    ConversationResumed,
    Notice,
    TextHeard,
    TextsLost,
)
from p2pnet.chat.people import Person, labels
from p2pnet.chat.session import Session
from p2pnet.interfaces import Address, DeliveryMethod, DisconnectInfo, INetPeer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from p2pnet.chat.paths import Way

MAX_LINKS: Final = 64
"""Connections at one time; one that is being restored counts."""
MAX_LINKS_EACH: Final = 4
"""Connections with one person; more than one only until it is settled which one stays."""


class Circle:
    """
    All conversations.  At most one connection with each person stays.

    :param way: how a peer id is reached, whom the engine has at an address.
    :param deliver: told of every event; may call back at once.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        heartbeat: float,
        way: Callable[[str, Address], Way],
        deliver: Callable[[CircleEvent], None],
    ) -> None:
        self.identity = identity
        self._clock = clock
        self._wall = wall
        self._heartbeat = heartbeat
        self._way = way
        self._deliver = deliver
        self._links: dict[INetPeer, Link] = {}
        self._talks: dict[str, Conversation] = {}
        self._ledgers = Ledgers()
        self._ended = Counts()

    # ------------------------------------------------------------ the engine

    def met(self, peer: INetPeer, peer_id: str, *, dialled: bool) -> None:
        """
        A connection with ``peer_id`` is open.
        """
        if peer in self._links:
            return
        talk = self._talks.get(peer_id)
        if talk is None:
            talk = Conversation(Person(peer_id, peer_id), self._ledgers.of(peer_id))
            self._talks[peer_id] = talk
        if dialled:
            talk.ledger.left = False
        now = self._clock.seconds()
        session = Session(
            self.identity,
            now=now,
            epoch=self._wall() - now,
            expected=peer_id,
            heartbeat=self._heartbeat,
            ledger=talk.ledger,
            resumes=talk.broken,
        )
        link = Link(peer, peer_id, session, self._clock, dialled=dialled, deliver=self._happened)
        self._links[peer] = link
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
        link.lost(reason_of(info), cause_of(info))
        self._ended.add(link.session.counts)
        talk = self._talks[link.peer_id]
        talk.remove(link)
        current = talk.current()
        if current is not None:
            current.carry()
        self._forget_if_over(link.peer_id, talk)
        if not talk.links:
            self._deliver(PersonGone(link.peer_id))

    # ------------------------------------------------------------ questions

    def standing(self, peer_id: str) -> Standing:
        """
        How we stand with somebody.
        """
        talk = self._talks.get(peer_id)
        if talk is None or not talk.links:
            return Standing.APART
        link = talk.current()
        if link is None:
            return Standing.PARTING
        return Standing.TALKING if link.open else Standing.MEETING

    def talks_to(self, peer_id: str) -> bool:
        """
        There is a conversation with somebody, though its connection may be broken.
        """
        talk = self._talks.get(peer_id)
        return talk is not None and talk.told

    def talking(self, peer_id: str) -> Link | None:
        """
        Where to say something to somebody at this moment, if there is a way.
        """
        talk = self._talks.get(peer_id)
        return talk.current() if talk is not None and talk.told and not talk.broken else None

    def broken(self) -> list[str]:
        """
        The peer ids of those whose connection has broken, and is not restored.
        """
        return [peer_id for peer_id, talk in self._talks.items() if talk.broken]

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
        Another connection with ``peer_id`` is within the limits.
        """
        kept = [each for each, talk in self._talks.items() if not talk.links and each != peer_id]
        taken = len(self._links) + len(kept)
        return taken < MAX_LINKS and len(self.links(peer_id)) < MAX_LINKS_EACH

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
        return [
            self._view(self._talks[person.peer_id], label)
            for person, label in self.called().items()
        ]

    def counts(self) -> Counts:
        """
        Of all conversations, those that have ended included.
        """
        counts = Counts()
        counts.add(self._ended)
        for link in self._links.values():
            counts.add(link.session.counts)
        return counts

    # ------------------------------------------------------------ commands

    def say(self, peer_id: str, text: str) -> None:
        """
        Say something to one we talk to, at once or when the connection is restored.

        :raise ValueError: see `Session.say`.
        """
        talk = self._talks[peer_id]
        link = talk.current()
        if link is not None and link.open:
            link.say(text)
        else:
            talk.ledger.add(text, self._wall())

    def rename(self, identity: Identity) -> None:
        """
        Tell everybody our new name.
        """
        self.identity = identity
        for link in self.links():
            link.rename(identity)

    def leave(self, reason: str, peer_id: str) -> None:
        """
        Say goodbye to one we talk to; if the connection is broken, when they come back.
        """
        talk = self._talks[peer_id]
        if talk.broken:
            self._over(talk, reason, Cause.US, dialled=False)
        for link in list(talk.links):
            link.close(reason)
        self._forget_if_over(peer_id, talk)

    def give_up(self, peer_id: str, why: str) -> None:
        """
        Nobody looks any more for one whose connection broke.
        """
        talk = self._talks.get(peer_id)
        if talk is None or not talk.broken:
            return
        label = self.label(peer_id)
        talk.told = talk.broken = False
        texts = tuple(talk.ledger.abandon())
        self._forget_if_over(peer_id, talk)
        self._deliver(ConversationGivenUp(peer_id, label, why, texts))

    def close(self, reason: str) -> None:
        """
        Say goodbye to all.
        """
        for link in self.links():
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
                self._opened(link, talk, event)
            case TextReceived():
                self._deliver(TextHeard(self._wall(), self.label(link.peer_id), event.text))
            case PongReceived(requested=True):
                milliseconds = event.round_trip * 1000
                label = self.label(link.peer_id)
                self._deliver(Notice(f"{label} answered in {milliseconds:.1f} ms"))
            case PeerRenamed():
                self._renamed(talk, event.username)
            case ClosingBegun():
                self._closing(link, talk, event)

    def _opened(self, link: Link, talk: Conversation, event: SessionOpened) -> None:
        if talk.told and event.username != talk.person.username:
            self._renamed(talk, event.username)
        talk.person = Person(link.peer_id, event.username)
        if not link.live:
            return
        if event.resumes and talk.ledger.left and not talk.told:
            link.close("hung up")
            return
        talk.ledger.left = False
        rivals = [other for other in talk.links if other is not link and other.open]
        talk.links.remove(link)
        talk.links.append(link)
        for rival in rivals:
            loser = self._loser(rival, link)
            if loser is not None:
                loser.close("there is another connection")
        label = self.label(link.peer_id)
        if not talk.told:
            talk.told = True
            way = self._way(link.peer_id, link.peer.address)
            self._deliver(ConversationOpened(link.peer_id, label, str(way)))
        elif talk.broken:
            talk.broken = False
            self._deliver(ConversationResumed(link.peer_id, label))
        self._deliver(PersonReached(link.peer_id))

    def _renamed(self, talk: Conversation, username: str) -> None:
        peer_id = talk.person.peer_id
        before = self.label(peer_id)
        talk.person = Person(peer_id, username)
        self._deliver(Notice(f"{before} is now called {self.label(peer_id)}"))

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

    def _closing(self, link: Link, talk: Conversation, closing: ClosingBegun) -> None:
        if talk.current() is not None:
            return
        if talk.told and closing.cause is Cause.LOST:
            if not talk.broken:
                talk.broken = True
                label = self.label(link.peer_id)
                self._deliver(ConversationBroken(link.peer_id, label, closing.reason))
            self._deliver(
                PersonLost(link.peer_id, closing.reason, broken=True, dialled=link.dialled)
            )
            return
        by_us = closing.cause is Cause.US
        if not talk.told and not link.dialled and not by_us:
            way = self._way(link.peer_id, link.peer.address)
            self._deliver(Notice(f"a connection from {way} came to nothing: {closing.reason}"))
        self._over(talk, closing.reason, closing.cause, dialled=link.dialled)

    def _over(self, talk: Conversation, reason: str, cause: Cause, *, dialled: bool) -> None:
        """
        Nothing can be said any more, and nobody looks for them.
        """
        peer_id = talk.person.peer_id
        if talk.told:
            label = self.label(peer_id)
            talk.told = talk.broken = False
            talk.ledger.left = cause is Cause.US
            self._deliver(ConversationClosed(peer_id, label, reason, cause is Cause.US))
        self._deliver(PersonLost(peer_id, reason, broken=False, dialled=dialled))

    def _forget_if_over(self, peer_id: str, talk: Conversation) -> None:
        if talk.links or talk.broken or self._talks.get(peer_id) is not talk:
            return
        label = self.label(peer_id)
        texts = tuple(talk.ledger.abandon())
        del self._talks[peer_id]
        if texts:
            self._deliver(TextsLost(label, texts))

    def _view(self, talk: Conversation, label: str) -> ConversationView:
        link = None if talk.broken else talk.current()
        peer = None if link is None else link.peer
        return ConversationView(
            talk.person,
            label,
            None if peer is None else self._way(talk.person.peer_id, peer.address),
            0.0 if peer is None else peer.round_trip_time,
            0 if peer is None else peer.mtu,
            0 if peer is None else peer.unacknowledged,
            len(talk.ledger),
            talk.counts(),
        )

    def _called(self, people: Iterable[Person]) -> dict[Person, str]:
        # Our own name is nobody else's alone.
        people = dict.fromkeys(people)
        names = labels(people, taken=[self.identity.username])
        return {person: names[person.peer_id] for person in people}
