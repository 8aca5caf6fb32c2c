"""
Where servers listen, when many come at once.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Port
from twisted.trial.unittest import TestCase

from p2pnet.services.endpoints import ACCEPTED, BACKLOG, Entrance


class Reactor:
    """
    Remembers what listens.
    """

    def __init__(self) -> None:
        self.ports: list[Any] = []
        self.backlogs: list[int] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        self.backlogs.append(backlog)
        real: Any = reactor
        self.ports.append(real.listenTCP(port, factory, backlog, interface))
        return self.ports[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class EntranceTests(TestCase):
    def listening(self, description: str) -> Reactor:
        own = Reactor()
        entrance = Entrance(description, Factory.forProtocol(Protocol), own)
        entrance.service.privilegedStartService()
        self.addCleanup(entrance.service.stopService)
        return own

    def test_many_may_wait_to_be_accepted(self) -> None:
        """
        Who finds no place is not answered, and tries again a second later.
        """
        for backlog, holds in (("", BACKLOG), (":backlog=9", BACKLOG), (":backlog=4000", 4000)):
            own = self.listening(f"tcp:0:interface=127.0.0.1{backlog}")
            assert own.backlogs == [holds]

    def test_a_few_are_accepted_at_once_however_many_have_come(self) -> None:
        own = self.listening("tcp:0:interface=127.0.0.1")
        port: Port = own.ports[0]
        with ExitStack() as stack:
            for _ in range(2 * ACCEPTED):
                wire = stack.enter_context(socket.socket())
                wire.setblocking(False)
                wire.connect_ex(("127.0.0.1", port.getHost().port))
            port.numberAccepts = 10 * ACCEPTED
            before = port.sessionno
            port.doRead()
            assert port.sessionno - before == ACCEPTED
