"""
A chat peer as a Twisted service.

Lets in whom signaling has introduced, dials whom a person asks for, and tells the consoles what
happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pnet.chat.audience import Audience
from p2pnet.chat.circle import Circle
from p2pnet.chat.conversation import ConversationView
from p2pnet.chat.dialing import Dialing, Standing
from p2pnet.chat.happenings import CircleEvent, PersonGone, PersonLost, PersonReached
from p2pnet.chat.identity import Identity
from p2pnet.chat.listening import Introduced
from p2pnet.chat.notices import ChatStopped, IChatObserver, Notice, TextSaid
from p2pnet.chat.numbers import ChatNumbers
from p2pnet.chat.paths import Way, way_to
from p2pnet.chat.people import NoSuchPerson, Person, find
from p2pnet.chat.regaining import PATIENCE, Regaining
from p2pnet.chat.seeking import Seeking
from p2pnet.chat.session import HEARTBEAT
from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    IRendezvous,
    KnownPeer,
    Reachability,
    RudpError,
    UnconnectedMessageType,
)
from p2pnet.text import written

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.reach.outcome import Outcome

STOP_GRACE: Final = 1.2
"""Seconds in which `stopService` is done: the goodbyes of all sessions, and a little."""
WATCH_INTERVAL: Final = 0.5
"""Seconds between two looks at whether the rendezvous is online; it has no way to tell."""


class ChatError(Exception):
    """
    A request that cannot be carried out; the text says why, for a person.
    """


@implementer(INetEventListener)
class ChatService(Service):
    """
    One person's chat: the listener of its INetManager, and what consoles show and drive.

    :param rendezvous: introduces us to people.
    :param identity: ourselves at the start; `rename` changes the name.
    :param clock: protocol time; its `seconds` should be monotonic.
    :param wall: unix seconds.
    :param heartbeat: seconds between the pings of a conversation.
    :param connect_to: whom to dial, and to keep dialling, once the rendezvous is online.
    :param patience: seconds for which somebody is looked for whose connection broke.
    :raise ValueError: ``heartbeat`` or ``patience`` is not positive.
    """

    name = "chat"
    _log = Logger()

    def __init__(
        self,
        rendezvous: IRendezvous,
        identity: Identity,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        heartbeat: float = HEARTBEAT,
        connect_to: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        for option, seconds in (("heartbeat", heartbeat), ("patience", patience)):
            if not seconds > 0:
                raise ValueError(f"{option}: seconds above 0, not {seconds!r}")
        self.rendezvous = rendezvous
        self._clock = clock
        self._wall = wall
        self._circle = Circle(
            identity,
            clock=clock,
            wall=wall,
            heartbeat=heartbeat,
            way=self._way,
            deliver=self._happened,
        )
        self._dialing = Dialing(
            rendezvous,
            clock,
            self._circle.standing,
            lambda peer_id: Introduced(self, peer_id, dialled=True),
        )
        self._seeking = Seeking(
            connect_to, clock, self.connect, lambda text: self._audience.tell(Notice(text))
        )
        self._regaining = Regaining(
            clock,
            reach=self._dialing.reach,
            meeting=lambda peer_id: self._circle.standing(peer_id) is Standing.MEETING,
            gave_up=self._circle.give_up,
            patience=patience,
        )
        self._audience = Audience()
        self._rejected = 0
        self._started = clock.seconds()
        self._online = False
        self._watch = LoopingCall(self._look)
        self._watch.clock = clock
        self._stopped: Deferred[None] | None = None
        self._cutting: IDelayedCall | None = None

    @property
    def identity(self) -> Identity:
        """
        Ourselves, by our present name.
        """
        return self._circle.identity

    @property
    def seeking(self) -> str | None:
        """
        Whom we still try to reach by ourselves.
        """
        return self._seeking.who

    # ------------------------------------------------------------ Service

    def startService(self) -> None:
        Service.startService(self)
        self._started = self._clock.seconds()
        self._watch.start(WATCH_INTERVAL)

    def stopService(self) -> Deferred[None]:
        """
        Say goodbye to everybody; done within `STOP_GRACE` seconds.
        """
        Service.stopService(self)
        if self._watch.running:
            self._watch.stop()
        self._regaining.stop()
        for peer_id in self._circle.broken():
            self._circle.give_up(peer_id, "the chat is closing")
        self._audience.tell(ChatStopped())
        self._dialing.stop(DialFailed("unavailable", "the chat is closing"))
        self._circle.close("went offline")
        if not self._circle.links():
            return succeed(None)
        self._stopped = Deferred()
        self._cutting = self._clock.callLater(STOP_GRACE, self._cut)
        return self._stopped

    def _cut(self) -> None:
        self._cutting = None
        self._circle.cut("went offline")
        self._say_stopped()

    def _say_stopped(self) -> None:
        cutting, self._cutting = self._cutting, None
        if cutting is not None:
            cutting.cancel()
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)

    # ------------------------------------------------------------ consoles

    def attach(self, observer: IChatObserver) -> None:
        """
        Tell ``observer`` what happens from now on.
        """
        self._audience.attach(observer)

    def detach(self, observer: IChatObserver) -> None:
        """
        Tell it no more.
        """
        self._audience.detach(observer)

    def _happened(self, event: CircleEvent) -> None:
        match event:
            case PersonReached():
                self._dialing.opened(event.peer_id)
                self._regaining.end(event.peer_id)
            case PersonLost():
                self._dialing.failed(event.peer_id, event.why)
                if event.broken:
                    self._regaining.begin(event.peer_id, dialled=event.dialled)
                else:
                    self._regaining.end(event.peer_id)
            case PersonGone():
                if self.running:
                    self._dialing.gone(event.peer_id)
            case _:
                self._audience.tell(event)

    # ------------------------------------------------------------ what a person can do

    def find(self, who: str) -> Person:
        """
        The one we talk to by an id, label or name.

        :raise NoSuchPerson: no such conversation.
        :raise AmbiguousName: several; the text lists their ids.
        """
        return find(who, self._circle.called())

    def label(self, peer_id: str) -> str:
        """
        What one we talk to is called here; the id of anybody else.
        """
        return self._circle.label(peer_id)

    def talks_to(self, peer_id: str) -> bool:
        """
        There is a conversation with ``peer_id``, though its connection may be broken.
        """
        return self._circle.talks_to(peer_id)

    def misses(self, peer_id: str) -> bool:
        """
        It is broken, and they are being looked for.
        """
        return peer_id in self._circle.broken()

    def people(self) -> Deferred[Sequence[KnownPeer]]:
        """
        Everybody registered: see `IRendezvous.peers`.
        """
        return maybeDeferred(self.rendezvous.peers)

    def connect(self, who: str) -> Deferred[Person]:
        """
        Start a conversation, or find the one there is.

        :param who: an id, a name, or a name with ``#`` and the begin of the id.
        :raise DialFailed: see there; through the Deferred.
        """
        return maybeDeferred(self._connect, who)

    def _connect(self, who: str) -> Deferred[Person]:
        if not self.running:
            raise DialFailed("unavailable", "the chat is closing")
        try:
            return succeed(self.find(who))
        except NoSuchPerson:
            return self._dialing.resolve(who, self.identity).addCallback(self._reach)

    def _reach(self, person: Person) -> Deferred[Person]:
        if not self.running:
            raise DialFailed("unavailable", "the chat is closing")
        reached = self._dialing.reach(person.peer_id)
        return reached.addCallbacks(lambda _: person, _by_name, errbackArgs=(person,))

    def say(self, peer_id: str, text: str, origin: IChatObserver | None = None) -> None:
        """
        Say ``text`` to somebody; every console but ``origin`` shows it.  While the connection is
        broken it waits.

        :raise ChatError: we do not talk to them, or the text cannot go.
        """
        self._check_talks(peer_id)
        label = self.label(peer_id)
        try:
            self._circle.say(peer_id, text)
        except ValueError as error:
            raise ChatError(f"not said to {label}: {error}") from error
        self._audience.tell(TextSaid(self._wall(), label, text), besides=origin)

    def ping(self, peer_id: str) -> None:
        """
        Measure how long somebody takes to answer; a Notice tells.

        :raise ChatError: we do not talk to them, or the connection is broken.
        """
        self._check_talks(peer_id)
        link = self._circle.talking(peer_id)
        if link is None:
            raise ChatError(f"{self.label(peer_id)} is lost at this moment")
        link.ping()

    def disconnect(self, peer_id: str) -> None:
        """
        End a conversation.

        :raise ChatError: we do not talk to them.
        """
        self._check_talks(peer_id)
        self._circle.leave("hung up", peer_id)

    def outcome(self, who: str) -> Outcome | None:
        """
        The record of the last dial of somebody, by whichever side; None without one.

        :param who: an id or a name; of those we talk to or have looked for, a label as well.
        :raise AmbiguousName: we talk to several of that name.
        """
        try:
            return self.rendezvous.outcome(self.find(who).peer_id)
        except NoSuchPerson:
            return self._dialing.outcome(who)

    def probe(self, port: int | None = None) -> Deferred[Reachability]:
        """
        What strangers find at our address: see `IRendezvous.probe`.
        """
        return maybeDeferred(self.rendezvous.probe, port)

    def rename(self, username: str) -> Deferred[None]:
        """
        Change our name here and with everybody we talk to, then at the rendezvous.

        :raise ValueError: ``username`` cannot be one; nothing changed.
        :raise DialFailed: ``unavailable``: the rendezvous could not be told.
        """
        self._circle.rename(self.identity.renamed(username))
        self._audience.tell(Notice(f"you are now {username}"))
        return maybeDeferred(self.rendezvous.rename, username)

    def set_away(self, away: bool) -> None:
        """
        Have others see, in the listing of the rendezvous, whether somebody looks here.
        """
        self.rendezvous.set_away(away)
        self._audience.tell(Notice("you are away" if away else "you are back"))

    def conversations(self) -> list[ConversationView]:
        """
        Whom we talk to.
        """
        return self._circle.views()

    def numbers(self) -> ChatNumbers:
        """
        How everything stands.
        """
        return ChatNumbers(
            self._clock.seconds() - self._started,
            self.rendezvous.online,
            self.rendezvous.external,
            self.rendezvous.nat,
            self._circle.counts(),
            self._rejected,
            self._circle.views(),
        )

    def _check_talks(self, peer_id: str) -> None:
        if not self.talks_to(peer_id):
            raise ChatError("there is no such conversation any more")

    def _way(self, peer_id: str, address: Address) -> Way:
        return way_to(address, self.rendezvous.outcome(peer_id))

    def _look(self) -> None:
        online = self.rendezvous.online
        if online != self._online:
            self._online = online
            external = self.rendezvous.external
            seen = f", seen as {written(external)}" if external is not None else ""
            lost = "offline: the rendezvous is out of reach; conversations go on"
            self._audience.tell(Notice(f"online{seen}" if online else lost))
        if online:
            self._seeking.look()

    # ------------------------------------------------------------ the engine

    def connection_request(self, request: IConnectionRequest) -> None:
        """
        Let in whoever was introduced.
        """
        peer_id = self.rendezvous.introduced(request.data) if self.running else None
        try:
            if peer_id is None:
                reason = "nobody has introduced you" if self.running else "the chat is closing"
            elif peer_id == self.identity.peer_id:
                reason = "that is us"
            elif not self._circle.room_for(peer_id):
                reason = "too many conversations"
            else:
                request.accept(Introduced(self, peer_id, dialled=False))
                return
            self._rejected += 1
            request.reject(reason.encode())
        except RudpError:
            self._log.debug("a connection request expired before it was decided")

    def met(self, peer: INetPeer, peer_id: str, *, dialled: bool) -> None:
        """
        A connection with an introduced one is open.
        """
        if self.running:
            self._circle.met(peer, peer_id, dialled=dialled)
        else:
            peer.disconnect(b"the chat is closing")

    def peer_connected(self, peer: INetPeer) -> None:
        """
        Nobody gets here: who is introduced has a listener of its own.
        """
        peer.disconnect(b"nobody has introduced you")

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self._circle.parted(peer, info)
        if not self._circle.links():
            self._say_stopped()

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        self._circle.heard(peer, data, channel, method)

    def network_error(self, address: Address | None, error: OSError) -> None:
        """
        The engine tries again by itself; a conversation that suffers ends by its time-out.
        """

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        """
        Nobody talks to a chat without a connection.
        """

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        """
        Asked for when wanted.
        """


def _by_name(failure: Failure, person: Person) -> NoReturn:
    """
    We dial ids; whoever asked for a name is told of the name.
    """
    error = failure.value
    if not isinstance(error, DialFailed):
        failure.raiseException()
    raise DialFailed(error.reason, str(error).replace(person.peer_id, person.username)) from None
