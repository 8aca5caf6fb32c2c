"""
What can be set about a manager, and what one can do with it besides talking to one peer.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from errno import EHOSTUNREACH, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS, EPERM
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2pnet.build import is_compiled
from p2pnet.interfaces import (
    Address,
    ConnectFailed,
    DeliveryMethod,
    DisconnectReason,
    INetManager,
    INetPeer,
    INtpEventListener,
    MessageTooLarge,
    NtpRequestFailed,
    QueueFull,
    RudpError,
)
from p2pnet.net.addresses import Binding
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.net.sockets import UdpSocket
from p2pnet.net.udp import UdpPort
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.transmit import Transmit
from p2pnet.testing import Host, Network
from p2pnet.testing.network import Fate
from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND
from p2pnet.wire.layers import Crc32cLayer, PacketLayer
from p2pnet.wire.ntp import NtpLeapIndicator, NtpMode, NtpPacket, ntp_timestamp, unix_time
from tests.net.test_dual_stack import FakeLeg
from tests.net.world import ALICE, BOB, CAROL, ORDERED, Notebook

SEED = 30
LOOPBACK = "127.0.0.1"
NTP: Address = ("10.0.0.9", 123)

# <linux/in.h>; Python has no names for them.
IP_RECVTTL = 12
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
PMTUDISC_DO = 2


class BrokenHost:
    """
    A host that cannot send to some addresses.

    :ivar errors: error numbers by IP.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.errors: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.host, name)

    def listenUDP(self, *args: Any, **kwargs: Any) -> Any:
        port = self.host.listenUDP(*args, **kwargs)
        write = port.write

        def write_or_fail(packet: bytes, addr: Address) -> None:
            if addr[0] in self.errors:
                raise OSError(self.errors[addr[0]], "as told")
            write(packet, addr)

        port.write = write_or_fail  # type: ignore[method-assign,assignment]  # for this one port
        return port


class OptionTests(SynchronousTestCase):
    """
    Managers on an internet in memory.
    """

    def setUp(self) -> None:
        self.network = Network(SEED, latency=0.02)

    def manager(
        self,
        address: Address,
        listener: Any = None,
        host: Any = None,
        config: EndpointConfig | None = None,
        **options: Any,
    ) -> tuple[NetManager, Notebook]:
        heard = Notebook()
        host = host or self.network.host(address[0])
        manager = NetManager(
            listener or heard,
            reactor=host,
            port=address[1],
            config=config,
            clock=host.seconds,
            random=Random(repr(address)).getrandbits,
            **options,
        )
        manager.startService()
        return manager, heard

    def meet(self, manager: NetManager, address: Address) -> INetPeer:
        connected = manager.connect(address)
        self.network.run(0.5)
        return self.successResultOf(connected)

    def test_it_is_what_it_says(self) -> None:
        manager, _ = self.manager(ALICE)
        verifyObject(INetManager, manager)

    # ------------------------------------------------------------ all peers at once

    def crowd(self, **options: Any) -> tuple[NetManager, Notebook, list[Notebook]]:
        manager, heard = self.manager(ALICE, **options)
        others = []
        for address in (BOB, CAROL):
            other, notebook = self.manager(address)
            self.meet(other, ALICE)
            others.append(notebook)
        return manager, heard, others

    def test_a_message_to_all_goes_to_all(self) -> None:
        manager, _, others = self.crowd()
        manager.send_to_all(b"hello")
        manager.send_to_all(b"psst", exclude=manager.peers[0])
        manager.send_to_all(b"quick", DeliveryMethod.UNRELIABLE)
        self.network.run(0.5)
        self.assertCountEqual(others[0].messages, [b"hello", b"quick"])
        self.assertCountEqual(others[1].messages, [b"hello", b"psst", b"quick"])

    def test_a_message_that_one_cannot_take_still_goes_to_the_others(self) -> None:
        manager, _, others = self.crowd(config=EndpointConfig(send_queue_limit=1500))
        manager.peers[0].send(bytes(1000))
        with self.assertRaises(QueueFull):
            manager.send_to_all(b"hello" + bytes(995))
        self.network.run(0.5)
        self.assertEqual(others[0].messages, [bytes(1000)])
        self.assertEqual(others[1].messages, [b"hello" + bytes(995)])

    def test_a_message_that_nobody_can_take_is_refused(self) -> None:
        manager, _, others = self.crowd()
        with self.assertRaises(MessageTooLarge):
            manager.send_to_all(bytes(60_000), DeliveryMethod.UNRELIABLE)
        with self.assertRaisesRegex(ValueError, "channel"):
            manager.send_to_all(b"hello", ORDERED, 7)
        with self.assertRaises(MessageTooLarge):
            manager.disconnect_all(bytes(60_000))
        self.network.run(0.5)
        self.assertEqual([other.messages for other in others], [[], []])
        self.assertEqual(len(manager.peers), 2)

    def test_all_can_be_sent_away(self) -> None:
        manager, heard, others = self.crowd()
        nobody = manager.connect(("10.0.0.200", 9050))
        manager.disconnect_all(b"closing time")
        self.network.run(0.5)
        self.assertEqual(manager.peers, [])
        self.assertEqual(
            [info.data for other in others for _, info in other.ended], [b"closing time"] * 2
        )
        self.assertEqual(heard.reasons, [DisconnectReason.DISCONNECT_PEER_CALLED] * 3)
        self.failureResultOf(nobody, ConnectFailed)

    def test_a_peer_is_found_by_its_number(self) -> None:
        manager, _, _ = self.crowd()
        for peer in manager.peers:
            self.assertIs(manager.peer_by_id(peer.id), peer)
        first = manager.peers[0]
        first.disconnect()
        self.network.run(0.5)
        self.assertIs(manager.peer_by_id(first.id), None)
        self.assertIs(manager.peer_by_id(99), None)

    # ------------------------------------------------------------ what one sees of a peer

    def test_queues_can_be_looked_at(self) -> None:
        alice, _ = self.manager(ALICE, config=EndpointConfig(channels=2))
        self.manager(BOB, config=EndpointConfig(channels=2))
        peer = self.meet(alice, BOB)
        for _ in range(100):
            peer.send(bytes(10), ORDERED, 1)
        self.assertEqual(peer.queued_bytes, 1000)
        self.assertEqual(peer.packets_in_reliable_queue(1, True), 100)
        self.assertEqual(peer.packets_in_reliable_queue(1, False), 0)
        self.assertEqual(peer.packets_in_reliable_queue(0, True), 0)
        self.network.run(0.01)
        self.assertEqual(peer.packets_in_reliable_queue(1, True), 100 - peer.in_flight)
        self.network.run(2.0)
        self.assertEqual((peer.queued_bytes, peer.in_flight), (0, 0))
        self.assertGreater(peer.stalled, 0.0)

    def test_what_fits_into_a_packet_can_be_asked(self) -> None:
        alice, _ = self.manager(ALICE)
        _, heard = self.manager(BOB)
        peer = self.meet(alice, BOB)
        for method in DeliveryMethod:
            size = peer.max_single_packet_size(method)
            peer.send(bytes(size), method)
            if method in (
                DeliveryMethod.UNRELIABLE,
                DeliveryMethod.SEQUENCED,
                DeliveryMethod.RELIABLE_SEQUENCED,
            ):
                with self.assertRaises(MessageTooLarge):
                    peer.send(bytes(size + 1), method)
        self.network.run(0.5)
        self.assertEqual(len(heard.messages), len(DeliveryMethod))

    def test_silence_is_measured(self) -> None:
        alice, _ = self.manager(ALICE)
        self.manager(BOB)
        peer = self.meet(alice, BOB)
        self.network.partition(ALICE[0], BOB[0])
        before = peer.time_since_last_packet
        self.network.run(3.0)
        self.assertAlmostEqual(peer.time_since_last_packet, before + 3.0)

    def test_the_clock_of_the_other_side_is_known(self) -> None:
        alice, _ = self.manager(ALICE, wall=lambda: 1_700_000_000.0)
        self.manager(BOB, wall=lambda: 1_700_000_042.0)
        peer = self.meet(alice, BOB)
        self.network.run(2.0)
        self.assertAlmostEqual(peer.remote_time_delta, 42.0, places=3)

    def test_both_sides_count_the_same(self) -> None:
        alice, _ = self.manager(ALICE)
        bob, _ = self.manager(BOB)
        peer = self.meet(alice, BOB)
        peer.send(bytes(5000))
        self.network.run(0.5)
        here, there = peer.statistics, bob.peers[0].statistics
        self.assertEqual(here.packets_received, there.packets_sent)
        self.assertEqual(here.bytes_received, there.bytes_sent)
        # The request came before there was a peer to count for.
        self.assertEqual(here.packets_sent, there.packets_received + 1)
        for ours, theirs in ((alice, bob), (bob, alice)):
            self.assertEqual(ours.statistics.packets_sent, theirs.statistics.packets_received)
            self.assertEqual(ours.statistics.bytes_sent, theirs.statistics.bytes_received)

    # ------------------------------------------------------------ the tick

    def times(self, source: Address) -> list[float]:
        """
        When datagrams leave, from now on.
        """
        times: list[float] = []

        def note(time: float, a: Address, b: Address, data: bytes, fate: Fate) -> None:
            if a == source:
                times.append(round(time - 0.02, 9))

        self.network.tap(note)
        return times

    def chat(self, **options: Any) -> tuple[list[float], Notebook]:
        """
        A message every 2 ms for a second.
        """
        times = self.times(ALICE)
        alice, _ = self.manager(ALICE, **options)
        _, heard = self.manager(BOB)
        peer = self.meet(alice, BOB)
        for i in range(500):
            peer.send(b"%d" % i)
            self.network.run(0.002)
        self.network.run(2.0)
        self.assertEqual(heard.messages, [b"%d" % i for i in range(500)])
        return times, heard

    def test_on_a_tick_fewer_datagrams_leave(self) -> None:
        at_once, _ = self.chat()
        self.network = Network(SEED, latency=0.02)
        ticking, _ = self.chat(update_time=0.05)
        self.assertGreater(len(at_once), 450)
        self.assertLess(len(ticking), 60)

    def test_nothing_leaves_between_ticks(self) -> None:
        times, _ = self.chat(update_time=0.05)
        for time in times:
            self.assertAlmostEqual(time / 0.05, round(time / 0.05), places=5)
        for before, after in pairwise(times):
            self.assertTrue(after == before or after - before > 0.049)

    def test_what_arrives_is_told_without_waiting_for_a_tick(self) -> None:
        alice, _ = self.manager(ALICE)
        _, heard = self.manager(BOB, update_time=0.5)
        alice.connect(BOB)
        self.network.run(2.0)
        peer = alice.peers[0]
        self.network.run(0.1)
        peer.send(b"hello")
        self.network.run(0.021)
        self.assertEqual(heard.messages, [b"hello"])
        self.assertEqual(peer.unacknowledged, 1)
        self.network.run(0.5)
        self.assertEqual(peer.unacknowledged, 0)

    def test_the_answers_to_what_a_tick_tells_leave_with_it(self) -> None:
        times = self.times(BOB)
        alice, at_alice = self.manager(ALICE)
        _, heard = self.manager(BOB, update_time=0.1)
        peer = self.meet(alice, BOB)
        heard.also["network_receive"] = lambda peer, data: peer.send(b"re: " + data)
        before = len(times)
        peer.send(b"hello")
        self.network.run(0.2)
        self.assertEqual(at_alice.messages, [b"re: hello"])
        self.assertEqual(len(times) - before, 1, "ack and answer in one datagram")

    def test_a_ticking_manager_that_is_idle_sleeps(self) -> None:
        alice, _ = self.manager(ALICE, update_time=0.015)
        self.manager(BOB)
        self.meet(alice, BOB)
        self.network.run(5.0)
        host = self.network.host(ALICE[0])
        (call,) = host.getDelayedCalls()
        self.assertGreater(call.getTime() - host.seconds(), 0.1)

    def test_a_ticking_manager_says_goodbye_at_once(self) -> None:
        alice, _ = self.manager(ALICE, update_time=1.0)
        _, heard = self.manager(BOB)
        alice.connect(BOB)
        self.network.run(2.5)
        stopped = alice.stopService()
        self.network.run(0.1)
        self.successResultOf(stopped)
        self.assertEqual(heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])
        self.assertEqual(self.network.host(ALICE[0]).getDelayedCalls(), [])

    def test_a_tick_that_cannot_be_is_refused(self) -> None:
        for wrong in (-0.015, 1.5, float("nan")):
            with self.assertRaisesRegex(ValueError, "update_time"):
                self.manager(ALICE, update_time=wrong)

    # ------------------------------------------------------------ sockets that fail

    def broken(self, code: int, **options: Any) -> tuple[NetManager, Notebook, Deferred[INetPeer]]:
        host = BrokenHost(self.network.host(ALICE[0]))
        manager, heard = self.manager(ALICE, host=host, config=EndpointConfig(**options))
        self.manager(BOB)
        peer = self.meet(manager, BOB)
        host.errors = {BOB[0]: code, CAROL[0]: code}
        peer.send(b"x")
        waiting = manager.connect(CAROL)
        self.network.run(0.1)
        return manager, heard, waiting

    def test_an_unreachable_host_is_told_and_ends_nothing(self) -> None:
        """
        Anybody on the way can make it seem so for a moment.
        """
        _, heard, waiting = self.broken(EHOSTUNREACH)
        self.assertEqual({address for address, _ in heard.errors}, {BOB, CAROL})
        self.assertEqual({error.errno for _, error in heard.errors}, {EHOSTUNREACH})
        self.assertEqual(heard.ended, [])
        self.assertNoResult(waiting)
        waiting.addErrback(lambda _: None)

    def test_it_ends_the_connection_if_that_is_wanted(self) -> None:
        for code, reason in (
            (EHOSTUNREACH, DisconnectReason.HOST_UNREACHABLE),
            (ENETUNREACH, DisconnectReason.NETWORK_UNREACHABLE),
        ):
            self.network = Network(SEED, latency=0.02)
            _, heard, waiting = self.broken(code, disconnect_on_unreachable=True)
            self.assertEqual(heard.reasons, [reason, reason])
            self.assertEqual(self.failureResultOf(waiting).value.info.reason, reason)

    def test_what_else_a_socket_says_is_told(self) -> None:
        _, heard, waiting = self.broken(EPERM, disconnect_on_unreachable=True)
        self.assertEqual({error.errno for _, error in heard.errors}, {EPERM})
        self.assertEqual(heard.ended, [])
        waiting.addErrback(lambda _: None)

    def test_a_full_buffer_and_a_short_path_are_only_counted(self) -> None:
        for code, reason in (
            (ENOBUFS, "send buffer full"),
            (EMSGSIZE, "longer than the path takes"),
        ):
            self.network = Network(SEED, latency=0.02)
            manager, heard, waiting = self.broken(code, disconnect_on_unreachable=True)
            self.assertEqual((heard.errors, heard.ended), ([], []))
            self.assertGreater(manager.statistics.dropped[reason], 1)
            waiting.addErrback(lambda _: None)

    # ------------------------------------------------------------ time servers

    def time_server(self, answer: Callable[[NtpPacket], bytes]) -> list[float]:
        """
        :return: when it is asked.
        """
        asked: list[float] = []
        network = self.network

        class Server(DatagramProtocol):
            def datagramReceived(self, datagram: bytes, addr: Address) -> None:
                asked.append(network.seconds())
                assert self.transport is not None
                self.transport.write(answer(NtpPacket.decode(datagram, 0)), addr)

        network.host(NTP[0]).listenUDP(NTP[1], Server())
        return asked

    def test_a_time_server_is_asked_and_answers(self) -> None:
        heard = TimeListener()
        manager, _ = self.manager(ALICE, listener=heard)
        self.time_server(right_answer)
        answered = manager.create_ntp_request(NTP)
        with self.assertRaisesRegex(ValueError, "already"):
            manager.create_ntp_request(NTP)
        self.network.run(0.1)
        packet = self.successResultOf(answered)
        self.assertEqual((packet.mode, packet.stratum), (NtpMode.SERVER, 1))
        self.assertAlmostEqual(packet.round_trip_time, 0.04, places=6)
        self.assertEqual(heard.packets, [packet])
        manager.create_ntp_request(NTP)
        self.network.run(0.1)
        self.assertEqual(len(heard.packets), 2)

    def test_a_correction_is_of_the_wall_clock_as_it_is_now(self) -> None:
        """
        It may have been set since the manager was made, or the machine has slept.
        """
        wall = [1.7e9]
        manager, _ = self.manager(ALICE, wall=lambda: wall[0] + self.network.seconds())
        self.time_server(
            lambda request: right_answer(request, 1.7e9 + self.network.seconds())
        )
        for off in (0.0, -7200.0, 90.0):
            wall[0] = 1.7e9 + off
            answered = manager.create_ntp_request(NTP)
            self.network.run(0.1)
            packet = self.successResultOf(answered)
            self.assertAlmostEqual(packet.correction_offset, -off, places=5)
            self.assertAlmostEqual(packet.round_trip_time, 0.04, places=6)
            left = unix_time(packet.origin_timestamp)
            self.assertAlmostEqual(left, wall[0] + self.network.seconds() - 0.1, places=5)

    def test_callables_hear_time_servers_too(self) -> None:
        listener = EventBasedNetListener()
        heard: list[NtpPacket] = []
        listener.ntp_response_event += heard.append
        manager, _ = self.manager(ALICE, listener=listener)
        self.time_server(right_answer)
        manager.create_ntp_request(NTP)
        self.network.run(0.1)
        self.assertEqual(len(heard), 1)

    def test_a_time_server_that_says_nothing_is_asked_ten_times(self) -> None:
        manager, _ = self.manager(ALICE)
        asked = self.time_server(lambda packet: b"what time?")
        answered = manager.create_ntp_request(NTP)
        self.network.run(9.5)
        self.assertNoResult(answered)
        self.network.run(1.0)
        self.assertEqual(len(asked), 10)
        self.failureResultOf(answered, NtpRequestFailed)

    def test_nobody_waits_for_the_time_when_the_manager_has_stopped(self) -> None:
        manager, _ = self.manager(ALICE)
        answered = manager.create_ntp_request(NTP)
        manager.stopService()
        self.network.run(1.0)
        self.failureResultOf(answered, CancelledError)
        with self.assertRaises(RudpError):
            manager.create_ntp_request(NTP)

    # ------------------------------------------------------------ start, stop, layers

    def test_nothing_is_sent_by_who_does_not_run(self) -> None:
        manager, _ = self.manager(ALICE)
        manager.stopService()
        self.network.run(1.0)
        for call in (
            lambda: manager.connect(BOB),
            lambda: manager.send_unconnected(BOB, b"x"),
            lambda: manager.send_broadcast(b"x", 9050),
        ):
            with self.assertRaisesRegex(RudpError, "not running"):
                call()

    def test_a_second_life_knows_nothing_of_the_first(self) -> None:
        """
        PITFALLS D28: in the reference old requests block whoever asked.
        """
        bob, heard = self.manager(BOB)
        heard.decide = lambda request: None
        alice, _ = self.manager(ALICE)
        alice.connect(BOB).addErrback(lambda _: None)
        self.network.run(0.1)
        bob.stopService()
        self.network.run(1.0)
        with self.assertRaises(RudpError):
            heard.requests[0].accept()
        bob.startService()
        with self.assertRaises(RudpError):
            heard.requests[0].accept()
        self.assertEqual((bob.peers, bob.statistics.packets_received), ([], 0))
        alice.disconnect_all()
        self.network.run(1.0)
        self.meet(bob, ALICE)

    def test_who_still_says_goodbye_cannot_start_again(self) -> None:
        alice, _ = self.manager(ALICE)
        self.manager(BOB)
        self.meet(alice, BOB)
        stopped = alice.stopService()
        with self.assertRaisesRegex(RudpError, "goodbye"):
            alice.startService()
        self.network.run(0.2)
        self.successResultOf(stopped)
        alice.startService()
        self.meet(alice, BOB)

    def test_a_packet_layer_is_passed_in_and_out(self) -> None:
        alice, _ = self.manager(ALICE, layer=Crc32cLayer())
        bob, heard = self.manager(BOB, layer=Crc32cLayer())
        plain, _ = self.manager(CAROL)
        self.meet(alice, BOB).send(b"hello")
        failed = plain.connect(BOB)
        self.network.run(7.0)
        self.assertEqual(heard.messages, [b"hello"])
        self.failureResultOf(failed, ConnectFailed)
        self.assertGreater(bob.statistics.dropped["packet layer"], 5)


@implementer(INtpEventListener)
class TimeListener(Notebook):
    """
    Hears time servers, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[NtpPacket] = []

    def ntp_response(self, packet: NtpPacket) -> None:
        self.packets.append(packet)


def right_answer(request: NtpPacket, time: float = 1.7e9) -> bytes:
    """
    What a server says whose clock shows `time`, in unix seconds.
    """
    served = ntp_timestamp(DOTNET_UNIX_EPOCH_TICKS + round(time * TICKS_PER_SECOND))
    return NtpPacket(
        leap_indicator=NtpLeapIndicator.NO_WARNING,
        version_number=4,
        mode=NtpMode.SERVER,
        stratum=1,
        poll=0,
        precision=-20,
        root_delay=0.0,
        root_dispersion=0.0,
        reference_id=0,
        reference_timestamp=1,
        origin_timestamp=request.transmit_timestamp,
        receive_timestamp=served,
        transmit_timestamp=served,
    ).encode()


# ------------------------------------------------------------ what a socket is told


def option(bound: UdpSocket, level: int, name: int) -> int:
    with socket.socket(fileno=socket.dup(bound.fileno())) as sock:
        return sock.getsockopt(level, name)


@pytest.mark.skipif(sys.platform != "linux", reason="how to forbid fragments is known for Linux")
@pytest.mark.parametrize(
    ("interface", "dual", "options"),
    [
        (LOOPBACK, False, [(socket.IPPROTO_IP, IP_MTU_DISCOVER)]),
        ("::1", False, [(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)]),
        (
            "::",
            True,
            [(socket.IPPROTO_IP, IP_MTU_DISCOVER), (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)],
        ),
    ],
)
def test_nothing_we_send_is_fragmented(
    interface: str, dual: bool, options: list[tuple[int, int]]
) -> None:
    try:
        bound = UdpSocket(interface, 0, dual=dual)
    except CannotListenError as error:
        pytest.skip(str(error))
    for level, name in options:
        assert option(bound, level, name) == PMTUDISC_DO
    address = (LOOPBACK if dual else interface, bound.local_port)
    bound.send(Transmit(address, b"x", may_fragment=True))
    for level, name in options:
        assert option(bound, level, name) == PMTUDISC_DO, "an exception is one"
    bound.close()


@pytest.mark.skipif(is_compiled(), reason="no class can be derived from a compiled one")
def test_what_may_be_fragmented_is_sent_so() -> None:
    class Watched(UdpSocket):
        def _discover_mtu(self, how: int) -> None:
            told.append(how)

    told: list[int] = []
    bound = Watched(LOOPBACK, 0)
    bound.send(Transmit((LOOPBACK, bound.local_port), b"x"))
    bound.send(Transmit((LOOPBACK, bound.local_port), b"x", ttl=2))
    assert 0 not in told
    bound.send(Transmit((LOOPBACK, bound.local_port), b"x", may_fragment=True))
    assert told[-2:] == [0, PMTUDISC_DO]
    bound.close()


@pytest.mark.skipif(sys.platform != "linux", reason="how to see a lifetime is known for Linux")
@pytest.mark.parametrize(("interface", "dual"), [(LOOPBACK, False), ("::1", False), ("::", True)])
def test_a_lifetime_is_of_one_packet_only(interface: str, dual: bool) -> None:
    try:
        bound = UdpSocket(interface, 0, dual=dual)
    except CannotListenError as error:
        pytest.skip(str(error))
    host = LOOPBACK if dual else interface
    ipv6 = ":" in host
    with socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(5)
        if ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        seen = []
        for ttl in (None, 2, None):
            bound.send(Transmit((host, sock.getsockname()[1]), b"x", ttl=ttl))
            _, ancillary, _, _ = sock.recvmsg(100, 100)
            seen.append(int.from_bytes(ancillary[0][2], sys.byteorder))
    bound.close()
    assert seen[1] == 2
    assert seen[0] == seen[2] > 2


def test_a_datagram_that_no_socket_takes_is_no_exception() -> None:
    failed: list[tuple[Address | None, int | None]] = []
    dropped: list[str] = []
    udp = UdpPort(lambda address, error: failed.append((address, error.errno)), dropped.append)
    leg = FakeLeg("0.0.0.0", 9050)
    legs = {"0.0.0.0": leg}
    udp.bind(Binding("0.0.0.0", None), 9050, lambda interface, port, dual: legs[interface])
    for error in (BlockingIOError(), OSError(ENOBUFS, ""), OSError(EMSGSIZE, "")):
        leg.error = error
        assert not udp.send(Transmit(("192.0.2.1", 1), b"x"))
    assert failed == []
    assert len(dropped) == 3
    leg.error = OSError(EINVAL, "")
    assert not udp.send(Transmit(("192.0.2.1", 0), b"x"))
    assert failed == []
    leg.error = OSError(EPERM, "")
    assert not udp.send(Transmit(("192.0.2.1", 1), b"x"))
    assert failed == [(("192.0.2.1", 1), EPERM)]


class RealOptionTests(TestCase):
    """
    Options that only real sockets have.
    """

    timeout = 10

    def manager(self, **options: Any) -> tuple[NetManager, Notebook]:
        heard = Notebook()
        manager = NetManager(heard, reactor=reactor, interface=LOOPBACK, **options)
        manager.startService()
        self.addCleanup(manager.stopService)
        return manager, heard

    def test_a_port_can_be_shared_if_both_want_it(self) -> None:
        first, _ = self.manager(reuse_address=True)
        second, _ = self.manager(reuse_address=True, port=first.local_port)
        self.assertEqual(second.local_port, first.local_port)
        with self.assertRaises(CannotListenError):
            self.manager(port=first.local_port)

    def test_a_layer_that_raises_does_not_make_us_deaf(self) -> None:
        class Broken(PacketLayer):
            def inbound(self, data: bytes) -> bytes | None:
                if data == b"bad":
                    raise ZeroDivisionError("in a layer")
                return data

        async def survive() -> None:
            server, _ = self.manager(layer=Broken())
            client, _ = self.manager()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"bad", (LOOPBACK, server.local_port))
            await client.connect((LOOPBACK, server.local_port))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

        return Deferred.fromCoroutine(survive())  # type: ignore[return-value]  # trial waits for it

    def test_a_flood_of_empty_datagrams_does_not_stop_the_reactor(self) -> None:
        """
        One turn takes some hundreds of them, and then it is somebody else's turn.
        """
        bound = UdpSocket(LOOPBACK, 0)
        self.addCleanup(bound.close)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(20):
                sock.sendto(b"", (LOOPBACK, bound.local_port))
        seen: list[bytes] = []
        for expected in (8, 16, 20):
            bound.drain(8, lambda data, address: seen.append(data), lambda address, error: None)
            self.assertEqual(len(seen), expected)

    def test_a_socket_that_is_closed_by_what_came_is_read_no_more_and_nobody_complains(
        self,
    ) -> None:
        bound = UdpSocket(LOOPBACK, 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(3):
                sock.sendto(b"", (LOOPBACK, bound.local_port))
        seen: list[bytes] = []
        failures: list[OSError] = []

        def leave(data: bytes, address: Address) -> None:
            seen.append(data)
            bound.close()

        bound.drain(8, leave, lambda address, error: failures.append(error))
        self.assertEqual((seen, failures), ([b""], []))

    def test_peers_on_real_sockets_find_the_largest_datagram(self) -> Deferred[None]:
        async def grow() -> None:
            config = EndpointConfig(ping_interval=0.1)
            server, _ = self.manager(config=config)
            client, _ = self.manager(config=config)
            peer = await client.connect((LOOPBACK, server.local_port))
            grown: Deferred[None] = Deferred()

            def look() -> None:
                if peer.mtu == 1432:
                    grown.callback(None)
                else:
                    reactor.callLater(0.01, look)

            look()
            await grown

        if sys.platform != "linux":
            raise SkipTest("fragments are forbidden on Linux")
        return Deferred.fromCoroutine(grow())
