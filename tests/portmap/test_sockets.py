"""
What only real sockets and real threads can show.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from random import Random
from threading import Event, current_thread, main_thread
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from p2pnet.portmap.mapper import PortMapper
from p2pnet.portmap.threads import DaemonThreads
from p2pnet.wire.constants import Address
from tests.portmap.lan import FakeIgd
from tests.portmap.routers import PORT, PUBLIC, Router

reactor: Any = installed
LOOPBACK = "127.0.0.1"
MAPPED = (PUBLIC, PORT)


class RouterPort(DatagramProtocol):
    """
    A `Router` on a real port.

    :ivar elsewhere: where it answers from, if not from there.
    :ivar noise: how many random datagrams it sends before each answer.
    """

    def __init__(self, router: Router) -> None:
        self.router = router
        self.elsewhere: Any = None
        self.noise = 0

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        random = Random(1)
        voice: Any = self.elsewhere or self.transport
        for _ in range(self.noise):
            voice.write(random.randbytes(random.randrange(100)), addr)
        for answer in self.router.answer(datagram, reactor.seconds()):
            voice.write(answer, addr)


class SocketTests(TestCase):
    timeout = 15

    def router_port(self, router: Router) -> tuple[RouterPort, int]:
        protocol = RouterPort(router)
        port = reactor.listenUDP(0, protocol, interface=LOOPBACK)
        self.addCleanup(port.stopListening)
        return protocol, port.getHost().port

    def mapper(self, server_port: int, timeout: float = 1.0) -> PortMapper:
        igd = FakeIgd()
        igd.present = False
        self.announced: list[Address | None] = []
        mapper = PortMapper(
            lambda: PORT,
            self.announced.append,
            reactor=reactor,
            clock=reactor,
            random=Random(3).getrandbits,
            local_address=lambda remote: LOOPBACK,
            gateway=lambda: LOOPBACK,
            make_igd=igd,
            timeout=timeout,
            server_port=server_port,
        )
        mapper.startService()
        self.addCleanup(mapper.stopService)
        return mapper

    async def until(self, mapper: PortMapper, status: str) -> float:
        """
        Wait until the status has this in it; how many seconds that took.
        """
        began = time.monotonic()
        while status not in mapper.status:
            await deferLater(reactor, 0.01)
        return time.monotonic() - began

    def test_a_mapping_is_made_and_deleted(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.made_and_deleted(Router()))

    def test_a_mapping_is_made_and_deleted_by_natpmp(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.made_and_deleted(Router(pcp=False)))

    async def made_and_deleted(self, router: Router) -> None:
        _, port = self.router_port(router)
        mapper = self.mapper(port)
        await self.until(mapper, "mapped as")
        self.assertEqual(self.announced, [MAPPED])
        self.assertIn(PORT, router.mappings)
        await mapper.stopService()
        self.assertEqual(self.announced, [MAPPED, None])
        self.assertEqual(router.mappings, {})

    def test_nobody_at_the_gateway_is_noticed_at_once(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.nobody())

    async def nobody(self) -> None:
        closed = reactor.listenUDP(0, DatagramProtocol(), interface=LOOPBACK)
        port = closed.getHost().port
        await closed.stopListening()
        mapper = self.mapper(port, timeout=10.0)
        took = await self.until(mapper, "no mapping: ")
        self.assertIn("PCP: nobody listens; NAT-PMP: nobody listens", mapper.status)
        self.assertLess(took, 5)

    def test_an_answer_from_another_address_is_none(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.another_address())

    async def another_address(self) -> None:
        router = Router()
        protocol, port = self.router_port(router)
        protocol.elsewhere = reactor.listenUDP(0, DatagramProtocol(), interface=LOOPBACK)
        self.addCleanup(protocol.elsewhere.stopListening)
        mapper = self.mapper(port, timeout=0.6)
        await self.until(mapper, "no mapping: PCP: no answer; NAT-PMP: no answer")
        self.assertGreater(len(router.heard), 2)
        self.assertEqual(self.announced, [])

    def test_noise_hides_no_answer(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.noise())

    async def noise(self) -> None:
        protocol, port = self.router_port(Router())
        protocol.noise = 100
        mapper = self.mapper(port)
        await self.until(mapper, "mapped as")
        self.assertEqual(self.announced, [MAPPED])

    def test_a_blocking_call_is_made_in_another_thread_and_answered_in_this_one(
        self,
    ) -> Deferred[None]:
        return Deferred.fromCoroutine(self.another_thread())

    async def another_thread(self) -> None:
        in_thread = DaemonThreads(reactor)
        gate = Event()

        def wait() -> object:
            self.assertTrue(gate.wait(10))
            return current_thread()

        waiting = in_thread(wait)
        reactor.callLater(0.05, gate.set)
        self.assertIsNot(await waiting, main_thread())
        self.assertIs(current_thread(), main_thread())
        with self.assertRaises(ZeroDivisionError):
            await in_thread(lambda: 1 // 0)
        self.assertIs(current_thread(), main_thread())


def test_a_thread_that_never_ends_does_not_hold_up_the_end_of_the_process() -> None:
    program = (
        "import time\n"
        "from twisted.internet import reactor\n"
        "from p2pnet.portmap.threads import DaemonThreads\n"
        "reactor.callWhenRunning(DaemonThreads(reactor), lambda: time.sleep(60))\n"
        "reactor.callLater(0.2, reactor.stop)\n"
        "reactor.run()\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], timeout=20, check=True
    )
