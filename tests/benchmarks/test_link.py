"""
The cable through which W6 is measured.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing
from unittest import TestCase

from benchmarks.link import Link
from benchmarks.side import HERE

_PATIENCE = 5.0


class LinkTests(TestCase):
    def setUp(self) -> None:
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.server = self.opened()

    def opened(self) -> socket.socket:
        one = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        one.bind((HERE, 0))
        one.setblocking(False)
        return one

    def link(self, delay: float = 0.0, loss: float = 0.0, seed: int = 1) -> Link:
        port = self.server.getsockname()[1]
        return self.stack.enter_context(closing(Link(port, delay, loss, seed)))

    def arrivals(
        self, link: Link, at: socket.socket, count: int
    ) -> list[tuple[bytes, tuple[str, int]]]:
        """
        Move the link until so many datagrams have arrived, and a little more.
        """
        seen: list[tuple[bytes, tuple[str, int]]] = []
        deadline = time.monotonic() + _PATIENCE
        while len(seen) < count and time.monotonic() < deadline:
            link.turn(0.01)
            try:
                while True:
                    seen.append(at.recvfrom(65536))
            except BlockingIOError:
                pass
        return seen

    def survivors(self, seed: int, loss: float, count: int = 200) -> list[int]:
        """
        Which of so many datagrams one client gets through; the last one marks the end.
        """
        link = self.link(loss=loss, seed=seed)
        client = self.opened()
        survived: list[int] = []
        for number in range(count):
            client.sendto(bytes([number]), (HERE, link.local_port))
            link.turn(0.01)
            link.turn(0.0)
            try:
                survived.append(self.server.recv(16)[0])
            except BlockingIOError:
                continue
        return survived

    def test_a_datagram_arrives_unchanged_and_no_sooner_than_the_delay(self) -> None:
        link = self.link(delay=0.05)
        client = self.opened()
        began = time.monotonic()
        client.sendto(b"hello", (HERE, link.local_port))
        ((data, _),) = self.arrivals(link, self.server, 1)
        self.assertEqual(data, b"hello")
        self.assertGreaterEqual(time.monotonic() - began, 0.05)

    def test_order_is_kept(self) -> None:
        link = self.link(delay=0.01)
        client = self.opened()
        for number in range(50):
            client.sendto(bytes([number]), (HERE, link.local_port))
        seen = self.arrivals(link, self.server, 50)
        self.assertEqual([data[0] for data, _ in seen], list(range(50)))

    def test_each_client_has_an_address_of_its_own_and_hears_its_own_answers(self) -> None:
        link = self.link()
        clients = [self.opened(), self.opened()]
        for number, client in enumerate(clients):
            client.sendto(bytes([number]), (HERE, link.local_port))
        seen = self.arrivals(link, self.server, 2)
        self.assertEqual(len({address for _, address in seen}), 2)
        for data, address in seen:
            self.server.sendto(b"to " + data, address)
        for number, client in enumerate(clients):
            ((data, _),) = self.arrivals(link, client, 1)
            self.assertEqual(data, b"to " + bytes([number]))

    def test_a_seed_decides_what_is_lost(self) -> None:
        first = self.survivors(seed=3, loss=0.3)
        self.assertEqual(first, self.survivors(seed=3, loss=0.3))
        self.assertNotEqual(first, self.survivors(seed=4, loss=0.3))
        self.assertTrue(100 <= len(first) <= 180, f"{len(first)} of 200 came through")

    def test_all_can_be_lost_and_none(self) -> None:
        self.assertEqual(self.survivors(seed=1, loss=1.0), [])
        self.assertEqual(self.survivors(seed=1, loss=0.0), list(range(200)))
