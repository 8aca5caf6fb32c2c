"""
A client and a server in virtual time, and what lies between them.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any, TypeVar

from p2pnet.turn.allocation import Allocation
from p2pnet.turn.events import Event
from p2pnet.wire.constants import Address
from tests.turn.server import PASSWORD, USER, TurnServer

E = TypeVar("E")

BOB: Address = ("203.0.113.5", 5000)
CAROL: Address = ("203.0.113.6", 6000)


class Link:
    """
    Carries datagrams with a delay; loses, doubles and reorders them as its seed has it.

    :param delay: seconds, one way.
    :param jitter: seconds, at most, on top.
    """

    def __init__(
        self,
        server: TurnServer | None = None,
        *,
        seed: int = 1,
        loss: float = 0.0,
        doubled: float = 0.0,
        delay: float = 0.02,
        jitter: float = 0.0,
        password: str = PASSWORD,
        **options: Any,
    ) -> None:
        self.random = Random(seed)
        self.server = server or TurnServer()
        self.client = Allocation(USER, password, random=Random(seed + 1).getrandbits, **options)
        self.loss = loss
        self.doubled = doubled
        self.delay = delay
        self.jitter = jitter
        self.now = 1000.0
        self.events: list[Event] = []
        self.sent: list[tuple[float, bytes]] = []
        """All that has left the client."""
        self._flying: list[tuple[float, int, bool, bytes]] = []
        self._count = 0

    def allocate(self) -> None:
        """
        Until the client has what it wants.
        """
        self.client.start(self.now)
        self.run(1.0)
        self.events.clear()

    def send(self, peer: Address, data: bytes) -> None:
        """
        Let the client send.
        """
        self.client.send(peer, data, self.now)
        self.settle()

    def permit(self, ip: str) -> None:
        """
        Let the client permit.
        """
        self.client.permit(ip, self.now)
        self.settle()

    def arrive(self, peer: Address, data: bytes) -> None:
        """
        A peer sends to the relayed address.
        """
        for datagram in self.server.data_from(peer, data, self.now):
            self._fly(False, datagram)

    def hand(self, data: bytes) -> None:
        """
        The client gets this at once.
        """
        self.client.receive(data, self.now)
        self.settle()

    def told(self, kind: type[E]) -> list[E]:
        """
        The events of one kind.
        """
        return [event for event in self.events if isinstance(event, kind)]

    def run(self, duration: float) -> None:
        """
        Let time pass.
        """
        end = self.now + duration
        self.settle()
        while True:
            due = self.client.next_timeout()
            next_at = min(
                self._flying[0][0] if self._flying else end, end if due is None else due, end
            )
            self.now = max(self.now, next_at)
            while self._flying and self._flying[0][0] <= self.now:
                _, _, to_server, data = heappop(self._flying)
                if to_server:
                    for answer in self.server.receive(data, self.now):
                        self._fly(False, answer)
                else:
                    self.client.receive(data, self.now)
            if due is not None and due <= self.now:
                self.client.handle_timeout(self.now)
                after = self.client.next_timeout()
                assert after is None or after > self.now, "the client asks to be woken at once"
            self.settle()
            if self.now >= end:
                return

    def settle(self) -> None:
        """
        Send what the client has to send, and note what it tells.
        """
        for data in self.client.datagrams_to_send():
            self.sent.append((self.now, data))
            self._fly(True, data)
        self.events += self.client.events()

    def until(self, holds: Callable[[], bool], limit: float = 60.0) -> None:
        """
        Let time pass until something holds.
        """
        end = self.now + limit
        while not holds():
            assert self.now < end, "that never came"
            self.run(0.01)

    def _fly(self, to_server: bool, data: bytes) -> None:
        for _ in range(2 if self.random.random() < self.doubled else 1):
            if self.random.random() >= self.loss:
                self._count += 1
                at = self.now + self.delay + self.random.random() * self.jitter
                heappush(self._flying, (at, self._count, to_server, data))
