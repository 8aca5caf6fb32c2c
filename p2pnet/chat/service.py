"""
A chat peer as a Twisted service.

Lets in whom signaling has introduced, dials whom a person asks for, and tells the consoles what
happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pnet.chat.circle import (
    Circle,
    CircleEvent,
    ConversationView,
    PersonGone,
    PersonLost,
    PersonReached,
)
from p2pnet.chat.dialing import Dialing
from p2pnet.chat.events import Counts
from p2pnet.chat.identity import Identity
from p2pnet.chat.link import Link
from p2pnet.chat.listening import Introduced
from p2pnet.chat.notices import ChatEvent, ChatStopped, IChatObserver, Notice, TextSaid
from p2pnet.chat.people import NoSuchPerson, Person, find
from p2pnet.chat.seeking import Seeking
from p2pnet.chat.session import HEARTBEAT
from p2pnet.chat.text import written
from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    IRendezvous,
    RudpError,
    UnconnectedMessageType,
)

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

STOP_GRACE: Final = 1.2
"""Seconds in which `stopService` is done: the goodbyes of all sessions, and a little."""
WATCH_INTERVAL: Final = 0.5
"""Seconds between two looks at whether the rendezvous is online; it has no way to tell."""


class ChatError(Exception):
    """
    A request that cannot be carried out; the text says why, for a person.
    """


@dataclass(frozen=True, slots=True)
class ChatNumbers:
    """
    How the chat stands.

    :ivar uptime: seconds.
    :ivar external: where the rendezvous sees us.
    :ivar counts: of all conversations, those that have ended included.
    :ivar rejected: connection requests.
    """

    uptime: float
    online: bool
    external: Address | None
    counts: Counts
    rejected: int
    conversations: Sequence[ConversationView]


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
    :raise ValueError: `heartbeat` is not positive.
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
    ) -> None:
        if not heartbeat > 0:
            raise ValueError(f"heartbeat: seconds above 0, not {heartbeat!r}")
        self.rendezvous = rendezvous
        self._clock = clock
        self._wall = wall
        self._circle = Circle(
            identity, clock=clock, wall=wall, heartbeat=heartbeat, deliver=self._happened
        )
        self._dialing = Dialing(
            rendezvous,
            clock,
            self._circle.standing,
            lambda peer_id: Introduced(self, peer_id, dialled=True),
        )
        self._seeking = Seeking(
            connect_to, clock, self.connect, lambda text: self._tell(Notice(text))
        )
        self._observers: list[IChatObserver] = []
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
        self._tell(ChatStopped())
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
        Tell `observer` what happens from now on.
        """
        self._observers.append(observer)

    def detach(self, observer: IChatObserver) -> None:
        """
        Tell it no more.
        """
        if observer in self._observers:
            self._observers.remove(observer)

    def _tell(self, event: ChatEvent, besides: IChatObserver | None = None) -> None:
        for observer in list(self._observers):
            if observer is besides:
                continue
            try:
                observer.told(event)
            except Exception:
                self._log.failure("a console failed on {kind}", kind=type(event).__name__)

    def _happened(self, event: CircleEvent) -> None:
        match event:
            case PersonReached():
                self._dialing.opened(event.peer_id)
            case PersonLost():
                self._dialing.failed(event.peer_id, event.why)
            case PersonGone():
                if self.running:
                    self._dialing.gone(event.peer_id)
            case _:
                self._tell(event)

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
        There is a conversation with `peer_id`.
        """
        return self._circle.talking(peer_id) is not None

    def people(self) -> Deferred[Any]:
        """
        Everybody registered: see `IRendezvous.peers`.
        """
        return maybeDeferred(self.rendezvous.peers)

    def connect(self, who: str) -> Deferred[Person]:
        """
        Start a conversation, or find the one there is.

        :param who: an id, a name, or a name with ``#`` and the begin of the id.
        :raise DialFailed: see there.
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
        Say `text` to somebody; every console but `origin` shows it.

        :raise ChatError: we do not talk to them, or the text cannot go.
        """
        link = self._talking(peer_id)
        label = self.label(peer_id)
        try:
            link.say(text)
        except (ValueError, RudpError) as error:
            why = str(error) or type(error).__name__
            raise ChatError(f"not said to {label}: {why}") from error
        self._tell(TextSaid(self._wall(), label, text), besides=origin)

    def ping(self, peer_id: str) -> None:
        """
        Measure how long somebody takes to answer; a Notice tells.

        :raise ChatError: we do not talk to them.
        """
        self._talking(peer_id).ping()

    def disconnect(self, peer_id: str) -> None:
        """
        End a conversation.

        :raise ChatError: we do not talk to them.
        """
        self._talking(peer_id)
        self._circle.close("hung up", peer_id)

    def rename(self, username: str) -> Deferred[None]:
        """
        Change our name here and with everybody we talk to, then at the rendezvous.

        :raise ValueError: `username` cannot be one; nothing changed.
        :raise DialFailed: ``unavailable``: the rendezvous could not be told.
        """
        self._circle.rename(self.identity.renamed(username))
        self._tell(Notice(f"you are now {username}"))
        return maybeDeferred(self.rendezvous.rename, username)

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
            self._circle.counts(),
            self._rejected,
            self._circle.views(),
        )

    def _talking(self, peer_id: str) -> Link:
        link = self._circle.talking(peer_id)
        if link is None:
            raise ChatError("there is no such conversation any more")
        return link

    def _look(self) -> None:
        online = self.rendezvous.online
        if online != self._online:
            self._online = online
            external = self.rendezvous.external
            seen = f", seen as {written(external)}" if external is not None else ""
            lost = "offline: the rendezvous is out of reach; conversations go on"
            self._tell(Notice(f"online{seen}" if online else lost))
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
