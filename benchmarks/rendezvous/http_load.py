"""
A process that makes HTTP requests on connections that it keeps.

Its arguments: ``port``; ``request``, a name in `benchmarks.rendezvous.people`; ``first`` and
``people``, whose requests they are, in turn; ``connections``; and ``count`` or ``seconds``, when to
end.  With ``rate`` it makes so many a second, whether or not the earlier ones are answered, and
times count from when a request was due.  Without, each connection has one under way at all times.

It says hello when it is connected, and then ``count``, ``took`` in seconds, and how long the
answers took.  Any answer that is not of the 200s ends it.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque

from benchmarks.rendezvous.facts import begin, say, spread
from benchmarks.rendezvous.people import REQUESTS

_HERE = "127.0.0.1"


class Connection:
    """
    A connection to the server, with at most one request under way.

    :ivar since: when that was due.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((_HERE, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self._read = b""

    def ask(self, request: bytes, due: float) -> None:
        """
        Make a request.
        """
        self.since = due
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """
        Take what has come.

        :raise SystemExit: the answer is an error.
        """
        more = self.socket.recv(65536)
        if not more:
            raise SystemExit("the server has closed a connection")
        self._read += more
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return False
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return False
        if not head.startswith(b"HTTP/1.1 2"):
            raise SystemExit(self._read.decode())
        self._read = b""
        return True


def main() -> None:
    """
    Make the requests that the command line says.
    """
    told = begin()
    make, first, people = REQUESTS[told["request"]], int(told["first"]), int(told["people"])
    requests = [make(number) for number in range(first, first + people)]
    connections = [Connection(int(told["port"])) for _ in range(int(told["connections"]))]
    count, seconds = int(told.get("count", 1 << 62)), float(told.get("seconds", "inf"))
    rate = float(told.get("rate", 0))
    idle, busy, times = deque(connections), 0, list[float]()
    poll = select.epoll()
    by_file = {connection.socket.fileno(): connection for connection in connections}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    say(connections=len(connections))
    asked, began = 0, time.monotonic()
    while True:
        now = time.monotonic()
        is_over = asked >= count or now - began >= seconds
        due = began + asked / rate if rate else now
        while idle and due <= now and not is_over:
            idle.popleft().ask(requests[asked % people], due)
            asked, busy = asked + 1, busy + 1
            is_over = asked >= count
            due = began + asked / rate if rate else now
        if is_over and not busy:
            break
        wait = due - now if rate and idle and not is_over else 1.0
        for file, _ in poll.poll(max(0.0, wait)):
            connection = by_file[file]
            if connection.is_answered():
                times.append(time.monotonic() - connection.since)
                idle.append(connection)
                busy -= 1
    say(count=asked, took=time.monotonic() - began, **spread(times))


if __name__ == "__main__":
    main()
