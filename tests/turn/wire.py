"""
Allocations on real sockets, driven by hand.  Everything has a deadline.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from secrets import randbits
from types import TracebackType
from typing import Any, Literal, TypeVar

from p2pnet.turn.allocation import Allocation
from p2pnet.turn.events import Allocated, DataReceived, Event
from p2pnet.turn.stream import MessageStream
from p2pnet.wire.constants import Address

E = TypeVar("E")
LIMIT = 15.0
"""Seconds to wait for what must come."""


class Client:
    """
    An allocation and its socket.
    """

    def __init__(
        self,
        server: Address,
        username: str,
        password: str,
        transport: Literal["udp", "tcp"] = "udp",
        **options: Any,
    ) -> None:
        self.allocation = Allocation(
            username, password, random=randbits, transport=transport, **options
        )
        self._stream = MessageStream() if transport == "tcp" else None
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.settimeout(LIMIT)
        self.socket.connect(server)
        self.events: list[Event] = []
        self.sent: list[bytes] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def start(self) -> None:
        """
        Begin to ask.
        """
        self.allocation.start(time.monotonic())

    def permit(self, ip: str) -> None:
        """
        Permit, now.
        """
        self.allocation.permit(ip, time.monotonic())

    def send(self, peer: Address, data: bytes) -> None:
        """
        Send, now.
        """
        self.allocation.send(peer, data, time.monotonic())
        self.flush()

    def close(self) -> None:
        """
        Begin to give back.
        """
        self.allocation.close(time.monotonic())

    def allocate(self) -> Address:
        """
        Until there is one: the relayed address.
        """
        self.start()
        return wait_for(self, Allocated).relayed

    def told(self, kind: type[E]) -> list[E]:
        """
        The events of one kind.
        """
        return [event for event in self.events if isinstance(event, kind)]

    def data(self) -> list[bytes]:
        """
        What peers have sent.
        """
        return [event.data for event in self.told(DataReceived)]

    def flush(self) -> None:
        """
        Send what there is to send, and note what is told.
        """
        for data in self.allocation.datagrams_to_send():
            self.sent.append(data)
            # That is an ICMP error about an earlier datagram: nobody may be there for now.
            with suppress(ConnectionRefusedError):
                self.socket.sendall(data)
        self.events += self.allocation.events()

    def read(self) -> None:
        """
        Take what has come, one datagram or one piece of the stream.
        """
        try:
            data = self.socket.recv(65_536)
        except ConnectionRefusedError:
            return
        for message in [data] if self._stream is None else self._stream.receive(data):
            self.allocation.receive(message, time.monotonic())


def pump(*clients: Client, until: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    """
    Serve clients until something holds; fails if it takes longer than `limit` seconds.
    """
    deadline = time.monotonic() + limit
    by_socket = {client.socket: client for client in clients}
    wait = 0.0
    while True:
        for client in clients:
            client.flush()
        readable, _, _ = select.select(list(by_socket), [], [], wait)
        for one in readable:
            by_socket[one].read()
        now = time.monotonic()
        for client in clients:
            due = client.allocation.next_timeout()
            if due is not None and due <= now:
                client.allocation.handle_timeout(now)
            client.flush()
        if until():
            return
        assert now < deadline, f"not within {limit:g} s: {what}; told {[c.events for c in clients]}"
        # What is waited for may come to a socket that is not watched here.
        wait = 0.01


def wait_for(client: Client, kind: type[E], limit: float = LIMIT) -> E:
    """
    The first event of this kind that has been told, or will be.
    """
    pump(client, until=lambda: bool(client.told(kind)), what=kind.__name__, limit=limit)
    return client.told(kind)[0]
