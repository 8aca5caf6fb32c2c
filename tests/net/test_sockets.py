"""
A few things that only real sockets can show, on loopback.
"""

from __future__ import annotations

import socket
import sys
import time
from errno import EIO
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from p2pnet.interfaces import Address, DisconnectReason, IConnectionRequest, INetPeer
from p2pnet.net.addresses import Binding
from p2pnet.net.manager import NetManager
from p2pnet.net.manual import ManualNetManager
from p2pnet.net.sockets import UdpSocket
from p2pnet.net.udp import UdpPort
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.nat import NatIntroduceResponse, NatPunch, parse_nat
from tests.net.test_dual_stack import FakeLeg
from tests.net.world import Notebook

LOOPBACK = "127.0.0.1"
IP_RECVTTL = 12
"""Linux; Python does not name it."""


def takes_runs() -> bool:
    bound = UdpSocket(LOOPBACK, 0)
    bound.close()
    return bound.takes_runs


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class SocketTests(TestCase):
    """
    NetManagers with the real reactor.
    """

    timeout = 10

    def manager(self, interface: str = LOOPBACK, **options: Any) -> tuple[NetManager, Notebook]:
        heard = Notebook()
        manager = NetManager(
            heard, reactor=reactor, interface=interface, config=EndpointConfig(**options)
        )
        manager.startService()
        self.addCleanup(manager.stopService)
        return manager, heard

    def told(self, heard: Notebook, name: str) -> Deferred[Any]:
        """
        Fires with the arguments of the next call of this name.
        """
        waiting: Deferred[Any] = Deferred()

        def fire(*args: object) -> None:
            if not waiting.called:
                waiting.callback(args)

        heard.also[name] = fire
        return waiting

    async def conversation(self, interface: str) -> None:
        server, at_server = self.manager(interface)
        client, at_client = self.manager(interface)
        at_server.decide = lambda request: request.accept_if_key("key")
        arrived = self.told(at_server, "network_receive")
        peer = await client.connect((interface, server.local_port), "key")
        peer.send(b"ping" + bytes(50_000))
        speaker, message = await arrived
        self.assertEqual(message, b"ping" + bytes(50_000))
        self.assertEqual(speaker.address, (interface, client.local_port))
        answered = self.told(at_client, "network_receive")
        speaker.send(b"pong")
        self.assertEqual((await answered)[1], b"pong")
        ended = self.told(at_server, "peer_disconnected")
        peer.disconnect(b"bye")
        _, info = await ended
        self.assertEqual(info.data, b"bye")

    def test_a_conversation_over_ipv4(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.conversation(LOOPBACK))

    def test_a_conversation_over_ipv6(self) -> Deferred[None]:
        if not has_ipv6():
            raise SkipTest("this machine has no ::1")
        return Deferred.fromCoroutine(self.conversation("::1"))

    def test_stopping_is_noticed_by_the_other_side_at_once(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.stopping())

    async def stopping(self) -> None:
        server, _ = self.manager()
        client, at_client = self.manager()
        await client.connect((LOOPBACK, server.local_port))
        ended = self.told(at_client, "peer_disconnected")
        await gatherResults([server.stopService(), ended])
        self.assertEqual(at_client.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])
        server.startService()
        again = await client.connect((LOOPBACK, server.local_port))
        self.assertEqual(again.address, (LOOPBACK, server.local_port))

    def test_nobody_at_the_other_end_is_no_reason_to_hurry(self) -> Deferred[None]:
        """
        The machine reports a closed port at once; whoever was called may be about to open it.
        """
        return Deferred.fromCoroutine(self.nobody())

    async def nobody(self) -> None:
        client, heard = self.manager(reconnect_delay=0.05, max_connect_attempts=50)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK, 0))
            address: Address = sock.getsockname()
        connected = client.connect(address)
        started: Deferred[NetManager] = Deferred()

        def start() -> None:
            late = NetManager(Notebook(), reactor=reactor, port=address[1], interface=LOOPBACK)
            late.startService()
            self.addCleanup(late.stopService)
            started.callback(late)

        reactor.callLater(0.15, start)
        await started
        peer: INetPeer = await connected
        self.assertEqual(peer.address, address)
        self.assertEqual(heard.ended, [])

    def test_an_address_of_the_other_family_is_told(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.other_family())

    async def other_family(self) -> None:
        client, heard = self.manager()
        failed = self.told(heard, "network_error")
        client.send_unconnected(("::1", 9), b"x")
        address, error = await failed
        self.assertEqual(address, ("::1", 9))
        self.assertIsInstance(error, OSError)

    def test_garbage_on_a_real_socket_is_dropped(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.garbage())

    async def garbage(self) -> None:
        server, at_server = self.manager()
        client, _ = self.manager()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for data in (b"", b"\xff", bytes(60_000), b"\x0c" + b"\xff" * 100):
                sock.sendto(data, (LOOPBACK, server.local_port))
        asked = self.told(at_server, "connection_request")
        await client.connect((LOOPBACK, server.local_port))
        (request,) = await asked
        self.assertTrue(isinstance(request, object) and IConnectionRequest.providedBy(request))
        self.assertEqual(server.statistics.dropped["malformed"], 2)

    def test_the_packet_that_only_opens_our_nat_lives_two_hops_and_others_live_on(
        self,
    ) -> Deferred[None]:
        """
        BEHAVIOUR §16: it must not reach the other NAT, and its lifetime must not stick.
        """
        if not sys.platform.startswith("linux"):
            raise SkipTest("how to see the lifetime of a packet is known for Linux")
        return Deferred.fromCoroutine(self.short_lived())

    async def short_lived(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK, 0))
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            manager, _ = self.manager(nat_punch_enabled=True)
            address: Address = sock.getsockname()
            manager.nat.trust(address)
            manager.nat.expect("token")
            introduction = NatIntroduceResponse(address, address, "token").encode()
            sock.sendto(introduction, (LOOPBACK, manager.local_port))
            seen: list[tuple[bytes, int]] = []
            while len(seen) < 6:
                try:
                    data, ancillary, _, _ = sock.recvmsg(2000, 100)
                except BlockingIOError:
                    await deferLater(reactor, 0.005)
                else:
                    seen.append((data, int.from_bytes(ancillary[0][2], "little")))
        usual = seen[0][1]
        self.assertGreater(usual, 2)
        self.assertEqual([ttl for _, ttl in seen], [usual, 2, usual] * 2)
        self.assertEqual(parse_nat(seen[0][0][1:]), [NatPunch("token", False)])
        self.assertEqual(seen[1][0], b"\x11")
        self.assertEqual(parse_nat(seen[2][0][1:]), [NatPunch("token", True)])


class BusyTests(TestCase):
    """
    A reactor that has other things to do for a while.
    """

    timeout = 30

    async def hear_late(self, clients: int) -> None:
        """
        The acks of so many clients have come before anybody could read them.
        """
        server = NetManager(Notebook(), reactor=reactor, interface=LOOPBACK)
        server.startService()
        self.addCleanup(server.stopService)
        heard = [Notebook() for _ in range(clients)]
        managers = [ManualNetManager(each, interface=LOOPBACK) for each in heard]

        def move() -> None:
            for manager in managers:
                manager.receive()
                manager.poll()
                manager.update()

        for manager in managers:
            manager.start()
            self.addCleanup(manager.stop)
            manager.connect((LOOPBACK, server.local_port))
        while not all(each.latencies for each in heard):
            move()
            await deferLater(reactor, 0.001)
        server.send_to_all(b"news")
        left = server.statistics.packets_sent
        while server.statistics.packets_sent < left + clients:
            await deferLater(reactor, 0)
        was_busy: Deferred[None] = Deferred()

        def be_busy() -> None:
            busy_until = time.monotonic() + 0.5
            while time.monotonic() < busy_until:
                move()
            was_busy.callback(None)

        # Timers come after it, and reading after them.
        reactor.callFromThread(be_busy)  # type: ignore[attr-defined]
        await was_busy
        self.assertTrue(all(each.messages == [b"news"] for each in heard))
        while any(peer.unacknowledged for peer in server.peers):
            await deferLater(reactor, 0)
        self.assertEqual(server.statistics.packets_resent, 0)

    def test_what_has_come_meanwhile_is_read_before_anything_is_sent_again(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.hear_late(1))

    def test_also_if_it_is_more_than_is_read_at_once(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.hear_late(400))

    def test_a_flood_stops_no_timers(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.flooded())

    async def flooded(self) -> None:
        manager = NetManager(
            Notebook(),
            reactor=reactor,
            interface=LOOPBACK,
            config=EndpointConfig(reconnect_delay=0.05, max_connect_attempts=1000),
        )
        manager.startService()
        self.addCleanup(manager.stopService)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flooding,
        ):
            silent.bind((LOOPBACK, 0))

            def flood() -> None:
                for _ in range(600):
                    flooding.sendto(b"\xff", (LOOPBACK, manager.local_port))

            flood()
            manager.connect(silent.getsockname()).addErrback(lambda _: None)
            while manager.statistics.packets_sent < 4:
                flood()
                await deferLater(reactor, 0)
            # It was one: there has always been more than one turn reads.
            self.assertGreater(manager.statistics.packets_received, 1000)


class RunTests(TestCase):
    """
    Many datagrams in one call, where the kernel can do that, and where it cannot.
    """

    timeout = 10

    def bound(self, interface: str = LOOPBACK, *, dual: bool = False) -> UdpSocket:
        opened = UdpSocket(interface, 0, dual=dual)
        self.addCleanup(opened.close)
        return opened

    def read(self, bound: UdpSocket, count: int) -> list[tuple[bytes, Address]]:
        """
        Loopback delivers at once, so that there is nothing to wait for.
        """
        taken: list[tuple[bytes, Address]] = []
        bound.drain(
            100,
            lambda data, source: taken.append((data, source)),
            lambda address, error: self.fail(str(error)),
        )
        self.assertEqual(len(taken), count)
        return taken

    def check(self, sender: UdpSocket, receiver: UdpSocket, host: str) -> None:
        datagrams = [bytes([i]) * 1000 for i in range(40)] + [b"the last"]
        target = (host, receiver.local_port)
        sender.send(Transmit(target, b"".join(datagrams), segment_size=1000))
        source = (host, sender.local_port)
        taken = self.read(receiver, 41)
        self.assertEqual(taken, [(datagram, source) for datagram in datagrams])

    def test_a_run_arrives_as_single_datagrams(self) -> None:
        if not takes_runs():
            raise SkipTest("the kernel takes no runs of datagrams (UDP GSO)")
        self.check(self.bound(), self.bound(), LOOPBACK)

    def test_a_run_arrives_as_single_datagrams_over_ipv6_and_a_dual_stack_socket(self) -> None:
        if not takes_runs() or not has_ipv6():
            raise SkipTest("the kernel takes no runs of datagrams (UDP GSO), or has no IPv6")
        self.check(self.bound("::1"), self.bound("::1"), "::1")
        self.check(self.bound("::", dual=True), self.bound(), LOOPBACK)

    def test_who_does_not_know_of_runs_reads_single_datagrams(self) -> None:
        if not takes_runs():
            raise SkipTest("the kernel takes no runs of datagrams (UDP GSO)")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            plain.bind((LOOPBACK, 0))
            plain.settimeout(5)
            target = plain.getsockname()
            self.bound().send(Transmit(target, b"aabbc", segment_size=2))
            self.assertEqual([plain.recv(100) for _ in range(3)], [b"aa", b"bb", b"c"])

    def test_single_datagrams_are_read_as_such_the_empty_ones_too(self) -> None:
        receiver, sender = self.bound(), self.bound()
        sent = [b"", b"one", b"", bytes(3000), b"two"]
        for data in sent:
            sender.send(Transmit((LOOPBACK, receiver.local_port), data))
        self.assertEqual([data for data, _ in self.read(receiver, 5)], sent)

    def port(self, leg: FakeLeg, dropped: list[str]) -> UdpPort:
        port = UdpPort(lambda address, error: self.fail(str(error)), dropped.append)
        port.bind(Binding("0.0.0.0", None), 9050, lambda interface, number, dual: leg)
        return port

    def test_where_the_kernel_takes_no_runs_each_datagram_is_sent(self) -> None:
        leg = FakeLeg("0.0.0.0", 9050)
        port = self.port(leg, [])
        self.assertTrue(port.send(Transmit(("192.0.2.1", 9), b"aabbc", segment_size=2)))
        self.assertEqual([each.data for each in leg.sent], [b"aa", b"bb", b"c"])
        self.assertEqual([each.segment_size for each in leg.sent], [0, 0, 0])

    def test_a_run_that_does_not_go_is_tried_one_by_one(self) -> None:
        """
        Its way may lead through a device that cannot take it apart.
        """

        class Stubborn(FakeLeg):
            def send(self, transmit: Transmit) -> None:
                if transmit.segment_size:
                    raise OSError(EIO, "no checksums here")
                super().send(transmit)

        leg = Stubborn("0.0.0.0", 9050)
        leg.takes_runs = True
        port = self.port(leg, [])
        self.assertTrue(port.send(Transmit(("192.0.2.1", 9), b"aabbc", segment_size=2)))
        self.assertEqual([each.data for each in leg.sent], [b"aa", b"bb", b"c"])

    def test_each_datagram_of_a_run_that_nobody_takes_is_counted(self) -> None:
        leg = FakeLeg("0.0.0.0", 9050, BlockingIOError())
        leg.takes_runs = True
        dropped: list[str] = []
        port = self.port(leg, dropped)
        self.assertFalse(port.send(Transmit(("192.0.2.1", 9), b"aabbc", segment_size=2)))
        self.assertEqual(dropped, ["send buffer full"] * 3)

    def test_a_device_without_checksums_is_asked_once(self) -> None:
        class Device:
            def sendmsg(self, *args: object) -> int:
                raise OSError(EIO, "Input/output error")

        bound = self.bound()
        if not bound.takes_runs:
            raise SkipTest("the kernel takes no runs of datagrams (UDP GSO)")
        real, bound._socket = bound._socket, Device()  # type: ignore[assignment]  # its send only
        with self.assertRaises(OSError):
            bound.send(Transmit((LOOPBACK, 9), b"aabb", segment_size=2))
        bound._socket = real
        self.assertFalse(bound.takes_runs)
