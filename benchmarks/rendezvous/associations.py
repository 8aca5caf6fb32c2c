"""
A process of many peers with UDP associations, which are first quiet and then seek each other.

Its arguments: ``port`` of HTTP, ``people``, ``quiet`` seconds, ``seconds`` of introductions, and
how many of those there are ``at_once``.  It says hello when all are associated, with ``took`` in
seconds since the first connected, and something empty after ``quiet``.  Then peers seek each other,
and it says ``count``, ``took`` and how long it was from each ``seek`` until both sides had their
offers; at last the same again, for half as many a second.

Each peer has a socket and an engine of its own.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _installed
from zope.interface import implementer

from benchmarks.rendezvous.facts import allow_sockets, begin, say, spread
from benchmarks.rendezvous.people import PORT, basic, peer_id_of
from p2pnet.interfaces import (
    DeliveryMethod,
    DisconnectInfo,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
)
from p2pnet.net.manager import NetManager
from p2pnet.serialization import NetDataWriter

reactor: Any = _installed
_HERE = "127.0.0.1"
_AT_ONCE = 32
"""Peers that are associating at the same time."""


@implementer(INetEventListener)
class Peer:
    """
    One of them.

    :param heard: told of each message.
    """

    def __init__(self, number: int, heard: Callable[[Peer, dict[str, Any]], None]) -> None:
        self.number = number
        self._heard = heard
        self._manager = NetManager(self, reactor=reactor, interface=_HERE)
        self._link: INetPeer | None = None

    def connect(self, port: int, ticket: str) -> None:
        """
        Associate.
        """
        self._manager.startService()
        writer = NetDataWriter()
        writer.put_string(ticket)
        writer.put_endpoint((_HERE, self._manager.local_port))
        self._manager.connect((_HERE, port), writer.data()).addErrback(_fail)

    def seek(self, other: Peer, number: int) -> None:
        """
        Ask to be introduced; the caller's offer carries ``number``.
        """
        assert self._link is not None
        message = {"type": "seek", "id": number, "to": peer_id_of(other.number)}
        self._link.send(json.dumps(message).encode())

    def peer_connected(self, peer: INetPeer) -> None:
        self._link = peer

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        _fail(f"an association has ended: {info.reason.name}")

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        self._heard(self, json.loads(data))

    def network_error(self, *_: object) -> None:
        pass

    def network_receive_unconnected(self, *_: object) -> None:
        pass

    def network_latency_update(self, *_: object) -> None:
        pass

    def connection_request(self, request: IConnectionRequest) -> None:
        request.reject()


class Crowd:
    """
    All of them.
    """

    def __init__(self, told: dict[str, str]) -> None:
        self._quiet, self._seconds = float(told["quiet"]), float(told["seconds"])
        self._at_once = int(told["at_once"])
        self._peers = [Peer(number, self._heard) for number in range(int(told["people"]))]
        self._doors = _registered(int(told["port"]), len(self._peers))
        self._connecting = self._welcomed = 0
        self._sought: dict[int, float] = {}
        """By the id of the seek: when it was due."""
        self._half: dict[str, float | None] = {}
        """By the token of whom one side has heard: when it was sought, if that was the caller."""
        self._asked = 0
        self._times: list[float] = []
        self._began = self._rate = 0.0
        self._turn = 0
        self._is_over = True

    def begin(self) -> None:
        """
        Associate all.
        """
        self._began = time.monotonic()
        for _ in range(min(_AT_ONCE, len(self._peers))):
            self._connect_next()

    def _connect_next(self) -> None:
        if self._connecting < len(self._peers):
            peer = self._peers[self._connecting]
            self._connecting += 1
            peer.connect(*self._doors[peer.number])

    def _heard(self, peer: Peer, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "welcome":
            self._welcomed += 1
            self._connect_next()
            if self._welcomed == len(self._peers):
                say(took=time.monotonic() - self._began)
                reactor.callLater(self._quiet, self._loud)
        elif kind == "offer":
            self._offered(message)
        else:
            _fail(message)

    def _offered(self, offer: dict[str, Any]) -> None:
        since = self._sought.pop(offer["id"]) if offer["role"] == "caller" else None
        token = offer["token"]
        if token not in self._half:
            self._half[token] = since
            return
        earlier = self._half.pop(token)
        due = earlier if since is None else since
        assert due is not None
        self._times.append(time.monotonic() - due)
        if not self._is_over and not self._rate:
            self._seek(time.monotonic())
        self._look_whether_over()

    def _loud(self) -> None:
        say()
        self._start(0.0)
        for _ in range(self._at_once):
            self._seek(self._began)

    def _start(self, rate: float) -> None:
        self._began, self._rate, self._is_over = time.monotonic(), rate, False
        self._asked, self._times = 0, []
        reactor.callLater(self._seconds, self._stop)

    def _stop(self) -> None:
        self._is_over = True
        self._look_whether_over()

    def _look_whether_over(self) -> None:
        if not self._is_over or len(self._times) < self._asked:
            return
        took, was_full = time.monotonic() - self._began, not self._rate
        say(count=self._asked, took=took, **spread(self._times))
        if was_full:
            self._start(self._asked / took / 2)
            self._seek_in_time()

    def _seek_in_time(self) -> None:
        while not self._is_over:
            due = self._began + self._asked / self._rate
            wait = due - time.monotonic()
            if wait > 0:
                reactor.callLater(wait, self._seek_in_time)
                return
            self._seek(due)

    def _seek(self, due: float) -> None:
        # Each seeks its neighbour; it is its turn again when all others have had theirs.
        caller = self._peers[self._turn % len(self._peers)]
        callee = self._peers[(self._turn + 1) % len(self._peers)]
        self._sought[self._turn] = due
        caller.seek(callee, self._turn)
        self._turn += 1
        self._asked += 1


def _registered(port: int, people: int) -> list[tuple[int, str]]:
    """
    Register all, and get a UDP port and a ticket for each.
    """
    connection = http.client.HTTPConnection(_HERE, port)
    doors = []
    for number in range(people):
        headers = {"Authorization": basic(number), "Content-Type": "application/json"}
        body = json.dumps({"username": f"p{number}", "port": PORT})
        connection.request("PUT", f"/v1/peers/{peer_id_of(number)}", body, headers)
        answer = json.loads(connection.getresponse().read())
        doors.append((int(answer["udp"]["port"]), str(answer["ticket"])))
    connection.close()
    return doors


def _fail(why: object) -> None:
    # At once: the other thousands are not to complain, too.
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


def main() -> None:
    """
    Be the crowd that the command line says.
    """
    allow_sockets()
    reactor.callWhenRunning(Crowd(begin()).begin)
    reactor.run()


if __name__ == "__main__":
    main()
