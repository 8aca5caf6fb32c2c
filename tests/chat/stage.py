"""
Chat services on a stage: a town, a clock, and consoles on string transports.
"""

from __future__ import annotations

from time import gmtime
from typing import Any
from uuid import UUID

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from p2pnet.chat.console import Console, ConsoleFactory
from p2pnet.chat.identity import make_identity
from p2pnet.chat.service import ChatService
from tests.chat.doubles import NOON, Town, TownRendezvous

ALICE = UUID("aaaa0000-0000-4000-8000-000000000001")
BOB = UUID("bbbb0000-0000-4000-8000-000000000002")
CAROL = UUID("cccc0000-0000-4000-8000-000000000003")


class Screen:
    """
    One console, and who sits at it.
    """

    def __init__(self, factory: ConsoleFactory) -> None:
        console = factory.buildProtocol(None)
        assert isinstance(console, Console)
        self.console = console
        self.transport = StringTransport()
        console.makeConnection(self.transport)

    def type(self, *lines: str) -> None:
        for line in lines:
            self.console.dataReceived(line.encode() + b"\n")

    def raw(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def read(self) -> list[str]:
        """
        What has been shown since the last look.
        """
        return self.raw().decode().splitlines()


class Node:
    """
    One dweller of the town, with a chat.
    """

    def __init__(
        self,
        town: Town,
        peer_id: UUID,
        username: str | None,
        *,
        online: bool = True,
        **options: Any,
    ) -> None:
        self.identity = make_identity(username, peer_id)
        self.rendezvous = TownRendezvous(town, self.identity.peer_id)
        self.rendezvous.online = online
        self.chat = ChatService(
            self.rendezvous,
            self.identity,
            clock=town.clock,
            wall=lambda: NOON + town.clock.seconds(),
            **options,
        )
        self.quits: list[None] = []
        self.factory = ConsoleFactory(
            self.chat, local_time=gmtime, on_quit=lambda: self.quits.append(None)
        )
        self.enter(town)
        self.chat.startService()

    def enter(self, town: Town) -> None:
        town.enter(self.identity.peer_id, self.identity.username, listener=self.chat)

    def greeting(self) -> list[str]:
        """
        What a new console shows.
        """
        return Screen(self.factory).read()

    def screen(self) -> Screen:
        """
        A new console; its greeting has been read.
        """
        screen = Screen(self.factory)
        screen.read()
        return screen


class Stage:
    """
    A town with a clock.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.town = Town(self.clock)

    def node(self, peer_id: UUID, username: str | None, **options: Any) -> Node:
        return Node(self.town, peer_id, username, **options)

    def wait(self, seconds: float = 1.0) -> None:
        """
        Time passes in small steps, so that what is due in between happens in between.
        """
        self.clock.pump([0.01] * round(seconds * 100))


__all__ = ["ALICE", "BOB", "CAROL", "Console", "Node", "Screen", "Stage"]
