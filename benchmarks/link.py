"""
A cable in a process of its own: it takes datagrams a while later to the other end, or loses them.

Everything that comes from one address leaves from one socket, so that the server sees each client
apart.  Which datagrams are lost is drawn from a seed, in each direction by itself.

Its arguments: the port to forward to, seconds one way, the loss (0..1), the seed.
"""

from __future__ import annotations

import random
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.side import HERE, say

_BUFFER = 4 << 20
_LARGEST = 65536


@dataclass
class _Way:
    """
    One direction of one client.
    """

    out: socket.socket
    to: tuple[str, int]
    chance: random.Random
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)


class Link:
    """
    :param port: where the server is.
    :param delay: seconds, one way.
    :param loss: probability for each datagram, each way.
    :param seed: of the losses.
    :ivar local_port: what clients dial.
    """

    def __init__(self, port: int, delay: float, loss: float, seed: int) -> None:
        self._server = (HERE, port)
        self._delay = delay
        self._loss = loss
        self._seed = seed
        self._door = self._open()
        self.local_port: int = self._door.getsockname()[1]
        self._ups: dict[tuple[str, int], _Way] = {}
        self._downs: dict[socket.socket, _Way] = {}

    def _open(self) -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((HERE, 0))
        opened.setblocking(False)
        for side in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            opened.setsockopt(socket.SOL_SOCKET, side, _BUFFER)
        return opened

    def _up(self, client: tuple[str, int]) -> _Way:
        if client not in self._ups:
            number = len(self._ups)
            inner = self._open()
            up, down = (random.Random(f"{self._seed} {way} {number}") for way in ("up", "down"))
            self._ups[client] = _Way(inner, self._server, up)
            self._downs[inner] = _Way(self._door, client, down)
        return self._ups[client]

    def turn(self, longest: float) -> None:
        """
        Take in what has come, and let out what is due, once.

        :param longest: seconds to wait for something to do.
        """
        due = min(
            (way.waiting[0][0] for way in self._ways() if way.waiting),
            default=time.monotonic() + longest,
        )
        wait = max(0.0, min(longest, due - time.monotonic()))
        ready, _, _ = select.select([self._door, *self._downs], [], [], wait)
        now = time.monotonic()
        for one in ready:
            self._take_in(one, now + self._delay)
        now = time.monotonic()
        for way in self._ways():
            while way.waiting and way.waiting[0][0] <= now:
                way.out.sendto(way.waiting.popleft()[1], way.to)

    def close(self) -> None:
        """
        Free all ports.
        """
        for one in (self._door, *self._downs):
            one.close()

    def _ways(self) -> list[_Way]:
        return [*self._ups.values(), *self._downs.values()]

    def _take_in(self, one: socket.socket, due: float) -> None:
        while True:
            try:
                data, address = one.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            way = self._up(address) if one is self._door else self._downs[one]
            if way.chance.random() >= self._loss:
                way.waiting.append((due, data))


def main() -> None:
    """
    Forward until the process is ended.
    """
    port, delay, loss, seed = sys.argv[1:]
    link = Link(int(port), float(delay), float(loss), int(seed))
    say(port=link.local_port)
    while True:
        link.turn(1.0)


if __name__ == "__main__":
    main()
