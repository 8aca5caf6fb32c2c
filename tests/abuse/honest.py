"""
Honest peers in a process of their own, and how long the server keeps them waiting.

    python -m tests.abuse.honest PORT

says ``{"here": ...}`` when all of them are associated.  Between a line ``begin`` and a line ``end``
they register anew, look each other up, get introduced and follow the events, at a steady rate
whatever becomes of it; then it prints how long each of these took, in seconds.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from typing import Any, Final
from uuid import UUID

from twisted.internet import reactor as installed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from p2pnet.interfaces import INetPeer
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.serialization import NetDataWriter
from tests.abuse.house import HOME, basic, put_first

reactor: Any = installed


PEERS: Final = 32
"""Enough that none of them asks more often than the server lets it."""
PERIOD: Final = 0.01
"""Seconds from one act to the next."""
LATE: Final = 0.3
"""Seconds for what has been begun."""
ACTS: Final = ("look-up", "register", "look-up", "introduction")


class Line(Protocol):
    """
    A connection for one request after the other.

    :ivar told: hears each piece of an event stream.
    """

    def __init__(self, home: Honest) -> None:
        self._home = home
        self._buffer = b""
        self._asked: tuple[str, float] | None = None
        self.is_stream = False

    def ask(self, what: str, request: bytes, since: float) -> None:
        self._asked = what, since
        self.transport.write(request)  # type: ignore[union-attr]  # it is connected

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        if self.is_stream:
            *events, self._buffer = self._buffer.split(b"\n\n")
            for event in events:
                self._home.event(event)
            return
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < size:
            return
        assert self._asked is not None, data
        (what, since), self._asked, self._buffer = self._asked, None, b""
        self._home.answered(self, what, since, int(head[9:12]), body)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._home.lost(self)


class Peer:
    """
    One of them.
    """

    def __init__(self, home: Honest, number: int) -> None:
        self.number = number
        self.id = str(UUID(int=0xA << 124 | number))
        self.secret = f"{number:040}"
        self.host = f"127.250.{number}.1"
        self.away = False
        self._home = home
        self._server: INetPeer | None = None
        listener = EventBasedNetListener()
        listener.network_receive_event += self._told
        self.engine = NetManager(listener, reactor=reactor, interface=self.host)
        self.engine.startService()

    def request(self, method: str, path: str, body: object = None) -> bytes:
        said = b"" if body is None else json.dumps(body).encode()
        (credentials,) = basic(self.id, self.secret).items()
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {HOME}\r\n{': '.join(credentials)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n"
        ).encode() + said

    def registration(self) -> bytes:
        body = {"username": f"peer {self.number}", "port": 4000, "away": self.away}
        return self.request("PUT", f"/v1/peers/{self.id}", body)

    def associate(self, ticket: str, port: int) -> None:
        writer = NetDataWriter()
        writer.put_string(ticket)
        writer.put_endpoint((self.host, self.engine.local_port))
        self.engine.connect((HOME, port), writer.data())

    def seek(self, id: int, to: str) -> None:
        assert self._server is not None
        self._server.send(json.dumps({"type": "seek", "id": id, "to": to}).encode())

    def _told(self, server: INetPeer, data: bytes, *_: object) -> None:
        said = json.loads(data)
        if said["type"] == "welcome":
            self._server = server
            self._home.arrived()
        elif said["type"] == "offer":
            self._home.offered(self, said)
        else:
            self._home.failed(f"a peer was told {said}")


class Honest:
    """
    All of them.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._peers = [Peer(self, number) for number in range(PEERS)]
        self._by_id = {peer.id: peer for peer in self._peers}
        self._idle: dict[str, list[Line]] = {}
        self._hosts: dict[Line, str] = {}
        self._welcomed = 0
        self._turn = 0
        self._acting = LoopingCall(self._act)
        self._reset()

    # ------------------------------------------------------------ at the beginning

    def start(self) -> None:
        """
        Register and associate all.
        """
        for peer in self._peers:
            self._ask(peer, "enrol", peer.registration())
        self._listen()

    def _listen(self) -> None:
        first = self._peers[0]

        def connected(line: Line) -> None:
            line.is_stream = True
            self._hosts[line] = "stream"
            line.ask("", first.request("GET", "/events"), reactor.seconds())

        self._connect(first.host, connected)

    def arrived(self) -> None:
        """
        A peer is associated.
        """
        self._welcomed += 1
        if self._welcomed == PEERS:
            print(json.dumps({"here": PEERS}), flush=True)

    # ------------------------------------------------------------ in the middle

    def begin(self) -> None:
        """
        Act, and take the time.
        """
        self._reset()
        self._acting.start(PERIOD)

    def end(self) -> None:
        """
        Say how long it took; what is still open counts as long as it has waited.
        """
        self._acting.stop()
        reactor.callLater(LATE, self._tell)

    def event(self, event: bytes) -> None:
        """
        The stream says something.
        """
        name, _, data = event.partition(b"data: ")
        if b"event: reset" in name:
            self.failed("events were missed")
        elif b"event: peer" in name:
            peer = json.loads(data)["peer"]
            self._done("event", f"{peer['peer_id']} {peer['status'] == 'away'}")

    def answered(self, line: Line, what: str, since: float, status: int, body: bytes) -> None:
        """
        An answer is here.
        """
        self._idle[self._hosts[line]].append(line)
        if status not in (200, 201):
            self.failed(f"{what}: {status}")
            return
        if what == "enrol":
            said = json.loads(body)
            peer = self._by_id[said["peer"]["peer_id"]]
            peer.associate(said["ticket"], said["udp"]["port"])
            return
        self._taken[what].append(reactor.seconds() - since)

    def offered(self, peer: Peer, offer: dict[str, Any]) -> None:
        """
        A peer is introduced; it is over when both know.
        """
        pair = peer.id, offer["peer_id"]
        key = "introduction " + " ".join(sorted(pair))
        self._halves[key] = self._halves.get(key, 0) + 1
        if self._halves[key] == 2:
            del self._halves[key]
            self._done("introduction", " ".join(sorted(pair)))

    def lost(self, line: Line) -> None:
        """
        A connection has ended.
        """
        host = self._hosts.pop(line)
        if host == "stream":
            self.failed("the event stream was cut")
        elif line in self._idle[host]:
            # The server keeps none that is silent.
            self._idle[host].remove(line)
        else:
            self.failed("a request was cut off")

    def failed(self, what: str) -> None:
        """
        Something did not go as it should.
        """
        self._failures.append(what)

    # ------------------------------------------------------------ inside

    def _reset(self) -> None:
        self._taken: dict[str, list[float]] = {each: [] for each in (*ACTS, "event")}
        self._open: dict[str, deque[float]] = {}
        self._halves: dict[str, int] = {}
        self._failures: list[str] = []

    def _act(self) -> None:
        number, self._turn = self._turn, self._turn + 1
        # Each of them acts at its own pace, not three times within an instant.
        what = ACTS[(number + number // PEERS) % len(ACTS)]
        peer = self._peers[number % PEERS]
        other = self._peers[peer.number ^ 1]
        if what == "look-up":
            self._ask(peer, what, peer.request("GET", f"/v1/peers/{other.id}"))
        elif what == "register":
            peer.away = not peer.away
            self._expect("event", f"{peer.id} {peer.away}")
            self._ask(peer, what, peer.registration())
        else:
            self._expect(what, " ".join(sorted((peer.id, other.id))))
            peer.seek(number, other.id)

    def _expect(self, what: str, which: str) -> None:
        self._open.setdefault(f"{what} {which}", deque()).append(reactor.seconds())

    def _done(self, what: str, which: str) -> None:
        waiting = self._open.get(f"{what} {which}")
        if waiting:
            self._taken[what].append(reactor.seconds() - waiting.popleft())

    def _tell(self) -> None:
        now = reactor.seconds()
        for which, waiting in self._open.items():
            self._taken[which.partition(" ")[0]] += [now - since for since in waiting]
        print(json.dumps({"taken": self._taken, "failures": self._failures}), flush=True)

    def _ask(self, peer: Peer, what: str, request: bytes) -> None:
        idle, since = self._idle.setdefault(peer.host, []), reactor.seconds()
        if idle:
            idle.pop().ask(what, request, since)
            return

        def connected(line: Line) -> None:
            self._hosts[line] = peer.host
            line.ask(what, request, since)

        self._connect(peer.host, connected)

    def _connect(self, host: str, connected: Any) -> None:
        endpoint = TCP4ClientEndpoint(reactor, HOME, self._port, 10, (host, 0))
        made = connectProtocol(endpoint, Line(self))
        made.addCallback(connected)
        made.addErrback(lambda failure: self.failed(f"no connection: {failure.value}"))


class Orders(LineReceiver):
    """
    What we are told to do.
    """

    delimiter = b"\n"

    def __init__(self, honest: Honest) -> None:
        self._honest = honest

    def lineReceived(self, line: bytes) -> None:
        {b"begin": self._honest.begin, b"end": self._honest.end}[line]()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if reactor.running:
            reactor.stop()


def main() -> None:
    """
    Live until nobody tells us anything more.
    """
    put_first(os.getpid())
    honest = Honest(int(sys.argv[1]))
    StandardIO(Orders(honest))
    reactor.callWhenRunning(honest.start)
    reactor.run()


if __name__ == "__main__":
    main()
