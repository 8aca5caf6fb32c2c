"""
A process that listens to ``GET /events`` on many connections.

Its arguments: ``port`` and ``listeners``.  It says hello when all of them have their ``start``,
with ``took`` in seconds, and then for each event when it had come to half and to all of them, by
the clock that all processes of a machine share.
"""

from __future__ import annotations

import select
import socket
import time
from statistics import median

from benchmarks.rendezvous.facts import allow_sockets, begin, say

_ASK = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_AT_ONCE = 32
"""Listeners that have yet to hear their ``start``."""


def main() -> None:
    """
    Listen for ever.
    """
    told = begin()
    port, listeners = int(told["port"]), int(told["listeners"])
    allow_sockets()
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    unread: dict[int, bytes] = {}
    started, began = 0, time.monotonic()
    arrivals: list[float] = []
    while True:
        while len(sockets) < listeners and len(sockets) - started < _AT_ONCE:
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(_ASK)
            sockets[one.fileno()], unread[one.fileno()] = one, b""
            poll.register(one, select.EPOLLIN)
        for file, _ in poll.poll():
            more = sockets[file].recv(65536)
            if not more:
                raise SystemExit("the server has closed a connection")
            *whole, unread[file] = (unread[file] + more).split(b"\n\n")
            for event in whole:
                if b"event: start\n" in event:
                    started += 1
                    if started == listeners:
                        say(took=time.monotonic() - began)
                elif b"event: peer\n" in event:
                    arrivals.append(time.monotonic())
                    if len(arrivals) == listeners:
                        say(half=median(arrivals), all=arrivals[-1])
                        arrivals.clear()


if __name__ == "__main__":
    main()
