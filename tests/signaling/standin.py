"""
Stands in for a daemon on an internet in memory, and says whatever a test wants it to say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DisconnectInfo,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    NotConnected,
    UnconnectedMessageType,
)
from p2pnet.net.manager import NetManager
from p2pnet.reach.observer import answer_observation
from p2pnet.serialization import NetDataReader
from p2pnet.signaling.directory import Answer, NoAnswer
from p2pnet.signaling.shapes import (
    About,
    Candidates,
    Ended,
    Find,
    Found,
    Offer,
    Registered,
    Relay,
    Seek,
    SeekRefused,
    Spot,
    UdpEndpoint,
    Welcome,
    decode,
    encode,
)
from p2pnet.testing import Network
from tests.net.world import make_manager

DAEMON: Address = ("203.0.113.1", 9050)
OBSERVER: Address = ("203.0.113.9", 9051)
SERVER = "http://203.0.113.1:8000"
LEASE = 60.0


@implementer(INetEventListener)
class StandIn:
    """
    :ivar away: nobody answers HTTP.
    :ivar mute: questions over the association are not answered.
    :ivar relays: who is told of which, by peer id.
    :ivar mappings: what peers have said of their NATs, by peer id.
    :ivar heard: all messages that came over associations.
    :ivar requests: of HTTP: method, path, fields.
    :ivar answers: to give to the next requests of HTTP instead of the right ones.
    """

    def __init__(
        self, network: Network, manager: NetManager | None = None, *, address: Address = DAEMON
    ) -> None:
        self.network = network
        self.address = address
        self.away = False
        self.mute = False
        self.relays: dict[str, list[Relay]] = {}
        self.observers: list[UdpEndpoint] = []
        self.mappings: dict[str, str] = {}
        self.heard: list[Any] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.answers: list[Answer] = []
        self.associations: dict[str, INetPeer] = {}
        self.names: dict[str, str] = {}
        self._sessions: dict[str, tuple[str, str]] = {}
        self._tickets: dict[str, str] = {}
        self._count = 0
        self.manager = manager or make_manager(network, self, address)
        self.manager.startService()
        self.manager.share_port(self.observe(self.manager))

    def add_observer(self) -> None:
        """
        Have a second address from which peers are seen.
        """
        manager = make_manager(self.network, self, OBSERVER)
        manager.startService()
        manager.share_port(self.observe(manager))
        self.observers = [UdpEndpoint(OBSERVER[1], OBSERVER[0])]

    def observe(self, manager: NetManager) -> Callable[[bytes, Address], bool]:
        """
        Tells who asks at a manager's port where it is seen.
        """

        def asked(data: bytes, address: Address) -> bool:
            answer = answer_observation(data, address)
            if answer is not None:
                manager.send_datagram(address, answer)
            return answer is not None

        return asked

    def next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    # ------------------------------------------------------------ HTTP

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        name: str | None = None,
        secret: str | None = None,
    ) -> Deferred[Answer]:
        fields = None if body is None else msgspec.json.decode(body)
        path = url.removeprefix(SERVER)
        self.requests.append((method, path, fields))
        if self.away:
            return fail(NoAnswer("the daemon does not answer"))
        answer: Deferred[Answer] = Deferred(lambda _: call.cancel())
        call = self.network.host(self.address[0]).callLater(
            0.04, lambda: answer.callback(self._answer(method, path, fields))
        )
        return answer

    def _answer(self, method: str, path: str, fields: Any) -> Answer:
        if self.answers:
            return self.answers.pop(0)
        return Answer(200, encode(self._right_answer(method, path, fields)))

    def _right_answer(self, method: str, path: str, fields: Any) -> object:
        if method == "DELETE":
            self.names.pop(path.removeprefix("/peer/"), None)
            return {}
        assert (method, path) == ("POST", "/register")
        peer_id = fields["peer_id"]
        new = peer_id not in self.names
        self.names[peer_id] = fields["username"]
        ticket = self.next("ticket")
        self._tickets[ticket] = peer_id
        return Registered(
            "success",
            "",
            peer_id,
            "192.0.2.9",
            LEASE,
            UdpEndpoint(self.address[1]),
            ticket,
            "secret" if new else msgspec.UNSET,
            self.relays.get(peer_id, []),
        )

    # ------------------------------------------------------------ associations

    def say(self, peer_id: str, message: object) -> None:
        """
        Send a message to a peer, who may be leaving at this moment.
        """
        with suppress(NotConnected):
            self.associations[peer_id].send(encode(message))

    def offer(self, to: str, whom: str, token: str, **changes: Any) -> Offer:
        """
        What `to` is told of `whom`.
        """
        seen = self.associations[whom].address
        ours = self.associations[to].address
        fields: dict[str, Any] = {
            "token": token,
            "peer_id": whom,
            "username": self.names[whom],
            "key": "5" * 32,
            "role": "callee",
            "observed": Spot("observed", *seen),
            "together": seen[0] == ours[0],
            "nat": self.mappings.get(whom, "unknown"),
        }
        return Offer(**(fields | changes))

    def connection_request(self, request: IConnectionRequest) -> None:
        peer_id = self._tickets.pop(NetDataReader(request.data).get_string(), None)
        if peer_id is None:
            request.reject()
            return
        peer = request.accept()
        peer.tag = peer_id

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        if self.associations.get(peer.tag) is not peer:
            old = self.associations.pop(peer.tag, None)
            self.associations[peer.tag] = peer
            if old is not None:
                old.disconnect()
            self.say(peer.tag, Welcome(*peer.address, self.observers))

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        if self.associations.get(peer.tag) is peer:
            del self.associations[peer.tag]

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        message: Any = decode(data, Find | Seek | Candidates | About | Ended)
        self.heard.append(message)
        if isinstance(message, About):
            self.mappings[peer.tag] = message.nat
        elif isinstance(message, Ended):
            return
        elif isinstance(message, Candidates):
            for other in self._sessions.get(message.token, ()):
                if other != peer.tag and other in self.associations:
                    self.say(other, message)
        elif not self.mute:
            self._asked(peer.tag, message)

    def _asked(self, asker: str, question: Find | Seek) -> None:
        who = question.who if isinstance(question, Find) else question.to
        meant = [
            id for id, name in self.names.items() if who in (id, name) and id in self.associations
        ]
        reason = {0: "unknown", 1: ""}.get(len(meant), "ambiguous")
        if meant == [asker]:
            reason = "self"
        if reason:
            self.say(asker, SeekRefused(question.id, reason, f'"{who}" is {reason}'))
        elif isinstance(question, Find):
            self.say(asker, Found(question.id, meant[0], self.names[meant[0]]))
        else:
            self.introduce(asker, meant[0], question.id)

    def introduce(self, caller: str, callee: str, id: int | None = None) -> str:
        """
        Begin a session; its token.
        """
        token = self.next("token")
        self._sessions[token] = caller, callee
        self.say(callee, self.offer(callee, caller, token))
        self.say(caller, self.offer(caller, callee, token, role="caller", id=id))
        return token

    def peer_connected(self, peer: INetPeer) -> None:
        pass

    def network_error(self, address: Address | None, error: OSError) -> None:
        pass

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        pass
