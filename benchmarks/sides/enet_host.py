"""
ENet, as pyenet binds it.

One host waits in ``service`` as its documentation shows; who has many waits for all of their
sockets at once, and calls each now and then, for ENet sends its pings and repeats only when called.
"""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable
from itertools import count
from math import ceil
from typing import Any, Final

import enet  # type: ignore[import-not-found]  # it has no annotations

from benchmarks.side import HERE, Ears

_MAX_PEERS: Final = 4095
"""ENet's own limit."""
_EVERYBODY: Final = 0.02
"""Seconds between two calls of each host, when there are many."""
_LONGEST: Final = 1.0


class EnetSide:
    """
    A `benchmarks.side.Side`.
    """

    capacity = 1 << 30

    def __init__(self) -> None:
        self.channels = 1
        self._hosts: dict[int, tuple[Any, Ears]] = {}
        """By file descriptor."""
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._number = count()

    def listen(self, ears: Ears) -> int:
        host = self._open(enet.Address(HERE.encode(), 0), _MAX_PEERS, ears)
        return int(host.address.port)

    def dial(self, port: int, ears: Ears) -> Callable[[], object]:
        host = self._open(None, 1, ears)

        def connect() -> None:
            host.connect(enet.Address(HERE.encode(), port), self.channels)

        connect()
        return connect

    def sender(self, peer: Any, reliable: bool, channel: int = 0) -> Callable[[bytes], object]:
        flags = enet.PACKET_FLAG_RELIABLE if reliable else 0
        packet = enet.Packet
        send = peer.send

        def send_one(data: bytes) -> None:
            send(channel, packet(data, flags))

        return send_one

    def reply(self, peer: Any, data: bytes) -> None:
        peer.send(0, enet.Packet(data, enet.PACKET_FLAG_RELIABLE))

    def broadcast(self, data: bytes) -> None:
        for host, _ in self._hosts.values():
            host.broadcast(0, enet.Packet(data, enet.PACKET_FLAG_RELIABLE))

    def hang_up(self, peer: Any) -> None:
        # Disconnecting forgets what waits to be sent, and that may be what the server waits for.
        peer.host.flush()
        peer.disconnect()

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._number), call))

    def run(self) -> None:
        while len(self._hosts) < 2:
            for host, ears in tuple(self._hosts.values()):
                self._serve(host, ears, ceil(self._until_next() * 1000))
            self._fire()
        ready = select.epoll()
        watched: set[int] = set()
        due = 0.0
        while True:
            for number in self._hosts.keys() - watched:
                ready.register(number, select.EPOLLIN)
                watched.add(number)
                self._hosts[number][0].flush()
            wait = min(self._until_next(), max(0.0, due - time.monotonic()))
            for number, _ in ready.poll(wait):
                self._serve(*self._hosts[number], 0)
            if self._fire() or time.monotonic() >= due:
                for host, ears in tuple(self._hosts.values()):
                    self._serve(host, ears, 0)
                due = time.monotonic() + _EVERYBODY

    def _open(self, address: Any, peers: int, ears: Ears) -> Any:
        host = enet.Host(address, peers, self.channels, 0, 0)
        self._hosts[host.socket.fileno()] = host, ears
        return host

    def _serve(self, host: Any, ears: Ears, wait: int) -> None:
        received = ears.received
        event = host.service(wait)
        while event is not None and event.type != enet.EVENT_TYPE_NONE:
            if event.type == enet.EVENT_TYPE_RECEIVE:
                received(event.peer, event.packet.data, 0, None)
            elif event.type == enet.EVENT_TYPE_CONNECT:
                ears.connected(event.peer)
            else:
                ears.disconnected(event.peer)
            event = host.check_events()
        if not wait:
            host.flush()

    def _until_next(self) -> float:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else _LONGEST

    def _fire(self) -> bool:
        fired = False
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
            fired = True
        return fired
