"""
IPv4 and IPv6 on one manager.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ENETUNREACH
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from p2pnet.interfaces import Address, INetPeer, UnconnectedMessageType
from p2pnet.net.addresses import Binding, Ipv6Mode, normalised
from p2pnet.net.manager import NetManager
from p2pnet.net.udp import Leg, UdpPort
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.transmit import Transmit
from p2pnet.testing import Network
from tests.net.world import Notebook

DISABLED, SEPARATE, DUAL = Ipv6Mode.DISABLED, Ipv6Mode.SEPARATE, Ipv6Mode.DUAL


# ------------------------------------------------------------ what the options mean


@pytest.mark.parametrize(
    ("interface", "interface_v6", "mode", "binding"),
    [
        ("", None, SEPARATE, Binding("0.0.0.0", "::")),
        ("127.0.0.1", None, SEPARATE, Binding("127.0.0.1", None)),
        ("", "::1", SEPARATE, Binding("0.0.0.0", "::1")),
        ("127.0.0.1", "::1", SEPARATE, Binding("127.0.0.1", "::1")),
        ("::1", None, SEPARATE, Binding(None, "::1")),
        ("::", None, SEPARATE, Binding(None, "::")),
        ("", None, DISABLED, Binding("0.0.0.0", None)),
        ("127.0.0.1", None, DISABLED, Binding("127.0.0.1", None)),
        ("::1", None, DISABLED, Binding(None, "::1")),
        ("", None, DUAL, Binding(None, "::", dual=True)),
        ("", "::", DUAL, Binding(None, "::", dual=True)),
        ("::", None, DUAL, Binding(None, "::", dual=True)),
    ],
)
def test_what_is_bound(
    interface: str, interface_v6: str | None, mode: Ipv6Mode, binding: Binding
) -> None:
    assert Binding.of(interface, interface_v6, mode) == binding


@pytest.mark.parametrize(
    ("interface", "interface_v6", "mode"),
    [
        ("localhost", None, SEPARATE),
        ("", "localhost", SEPARATE),
        ("", "127.0.0.1", SEPARATE),
        ("", "", SEPARATE),
        ("::", "::1", SEPARATE),
        ("", "::1", DISABLED),
        ("127.0.0.1", None, DUAL),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    interface: str, interface_v6: str | None, mode: Ipv6Mode
) -> None:
    with pytest.raises(ValueError, match=r"."):
        Binding.of(interface, interface_v6, mode)


@pytest.mark.parametrize(
    ("spelt", "normal"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::FFFF:7f00:1", "127.0.0.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%7", "fe80::1%7"),
    ],
)
def test_one_host_has_one_spelling(spelt: str, normal: str) -> None:
    assert normalised((spelt, 9050)) == (normal, 9050)


def test_an_interface_may_be_called_by_its_name() -> None:
    index, name = socket.if_nameindex()[0]
    assert normalised((f"fe80::1%{name}", 1)) == (f"fe80::1%{index}", 1)


@pytest.mark.parametrize(
    "address", [("localhost", 1), ("", 1), ("127.0.0.1", 0), ("::1", 65536), ("fe80::1%none", 1)]
)
def test_what_is_no_address_is_refused(address: Address) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalised(address)


# ------------------------------------------------------------ sockets that cannot be had


class FakeLeg:
    """
    A bound socket that says what it is told to say.
    """

    def __init__(self, interface: str, port: int, error: OSError | None = None) -> None:
        self.version = 6 if ":" in interface else 4
        self.local_port = port
        self.error = error
        self.sent: list[Transmit] = []
        self.takes_runs = False
        self.closed = False

    def send(self, transmit: Transmit) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(transmit)

    def close(self) -> None:
        self.closed = True


class Machine:
    """
    What can be bound on it.

    :ivar missing: error numbers by address.
    :ivar taken: port numbers that somebody else has, in IPv6.
    """

    def __init__(self) -> None:
        self.missing: dict[str, int] = {}
        self.taken: set[int] = set()
        self.legs: list[FakeLeg] = []
        self._free = 50_000

    def open_leg(self, interface: str, port: int, dual: bool) -> Leg:
        code = self.missing.get(interface, 0)
        if not port:
            port = self._free
            self._free += 1
        if ":" in interface and port in self.taken:
            code = EADDRINUSE
        if code:
            raise CannotListenError(interface, port, OSError(code, "as told"))
        leg = FakeLeg(interface, port)
        self.legs.append(leg)
        return leg

    def bind(self, binding: Binding, port: int = 0) -> UdpPort:
        udp = UdpPort(lambda address, error: None, lambda reason: None)
        udp.bind(binding, port, self.open_leg)
        return udp

    @property
    def bound(self) -> list[tuple[int, int]]:
        return [(leg.version, leg.local_port) for leg in self.legs if not leg.closed]


BOTH = Binding.of("", None, SEPARATE)


def test_both_get_the_same_number() -> None:
    machine = Machine()
    assert machine.bind(BOTH, 9050).local_port == 9050
    assert machine.bound == [(4, 9050), (6, 9050)]


def test_a_number_that_is_free_for_both_is_looked_for() -> None:
    machine = Machine()
    machine.taken = {50_000, 50_001}
    assert machine.bind(BOTH).local_port == 50_002
    assert machine.bound == [(4, 50_002), (6, 50_002)]


def test_it_is_not_looked_for_without_end() -> None:
    machine = Machine()
    machine.taken = set(range(65536))
    with pytest.raises(CannotListenError):
        machine.bind(BOTH)
    assert machine.bound == []
    assert len(machine.legs) == 16


def test_a_number_that_was_asked_for_is_not_replaced() -> None:
    machine = Machine()
    machine.taken = {9050}
    with pytest.raises(CannotListenError):
        machine.bind(BOTH, 9050)
    assert machine.bound == [], "IPv4 is given back"


@pytest.mark.parametrize("code", [EAFNOSUPPORT, EADDRNOTAVAIL])
def test_a_machine_without_ipv6_does_without(code: int) -> None:
    machine = Machine()
    machine.missing = {"::": code}
    assert machine.bind(BOTH, 9050).local_port == 9050
    assert machine.bound == [(4, 9050)]


def test_a_machine_without_ipv4_does_without() -> None:
    machine = Machine()
    machine.missing = {"0.0.0.0": EADDRNOTAVAIL}
    assert machine.bind(BOTH, 9050).local_port == 9050
    assert machine.bound == [(6, 9050)]


@pytest.mark.parametrize(
    ("missing", "interface_v6"),
    [
        ({"::": EACCES}, None),
        ({"0.0.0.0": EACCES}, None),
        ({"::": EADDRNOTAVAIL, "0.0.0.0": EADDRNOTAVAIL}, None),
        ({"2001:db8::1": EADDRNOTAVAIL}, "2001:db8::1"),
    ],
)
def test_any_other_failure_is_one(missing: dict[str, int], interface_v6: str | None) -> None:
    machine = Machine()
    machine.missing = missing
    with pytest.raises(CannotListenError):
        machine.bind(Binding.of("", interface_v6, SEPARATE), 9050)
    assert machine.bound == []


def test_a_datagram_leaves_from_the_socket_of_its_version() -> None:
    machine = Machine()
    udp = machine.bind(BOTH)
    for host in ("192.0.2.1", "2001:db8::1"):
        assert udp.send(Transmit((host, 1), b"x"))
    assert [[sent.address[0] for sent in leg.sent] for leg in machine.legs] == [
        ["192.0.2.1"],
        ["2001:db8::1"],
    ]


def test_a_dual_stack_socket_takes_both() -> None:
    machine = Machine()
    udp = machine.bind(Binding.of("", None, DUAL))
    for host in ("192.0.2.1", "2001:db8::1"):
        assert udp.send(Transmit((host, 1), b"x"))
    assert [len(leg.sent) for leg in machine.legs] == [2]
    udp.close()
    assert machine.bound == []


# ------------------------------------------------------------ an internet in memory


class NetworkTests(SynchronousTestCase):
    """
    Hosts with addresses of one version or both.
    """

    def setUp(self) -> None:
        self.network = Network(1, latency=0.02)

    def manager(self, *addresses: str, **options: Any) -> tuple[NetManager, Notebook]:
        host = self.network.host(*addresses)
        heard = Notebook()
        manager = NetManager(heard, reactor=host, port=9050, clock=host.seconds, **options)
        manager.startService()
        return manager, heard

    def meet(self, manager: NetManager, host: str) -> INetPeer:
        connected = manager.connect((host, 9050))
        self.network.run(1.0)
        return self.successResultOf(connected)

    def test_one_manager_serves_both(self) -> None:
        server, heard = self.manager("10.0.0.1", "fd00::1")
        for own, other in (("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")):
            client, _ = self.manager(own)
            self.meet(client, other).send(own.encode())
        self.network.run(1.0)
        self.assertEqual(heard.messages, [b"10.0.0.2", b"fd00::2"])
        self.assertEqual(
            [peer.address for peer in server.peers], [("10.0.0.2", 9050), ("fd00::2", 9050)]
        )

    def test_dual_looks_the_same_where_there_are_no_such_sockets(self) -> None:
        self.manager("10.0.0.1", "fd00::1", ipv6=DUAL)
        for own, other in (("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")):
            client, _ = self.manager(own)
            self.assertEqual(self.meet(client, other).address[0], other)

    def test_disabled_is_deaf_to_ipv6(self) -> None:
        self.manager("10.0.0.1", "fd00::1", ipv6=DISABLED)
        client, _ = self.manager("fd00::2")
        failed = client.connect(("fd00::1", 9050))
        self.network.run(10.0)
        self.failureResultOf(failed)

    def test_a_peer_is_known_however_its_address_is_spelt(self) -> None:
        self.manager("fd00::1")
        client, _ = self.manager("fd00::2")
        peer = self.meet(client, "FD00:0:0::0:1")
        self.assertEqual(peer.address, ("fd00::1", 9050))
        self.assertIs(self.meet(client, "fd00::1"), peer)


# ------------------------------------------------------------ real sockets


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def link_local() -> str | None:
    """
    An address of ours that means nothing without its interface.
    """
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        digits, index, _, scope, _, _ = line.split()
        if scope == "20":
            host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
            return f"{host}%{int(index, 16)}"
    return None


class SocketTests(TestCase):
    """
    Managers with the real reactor.
    """

    timeout = 10

    def setUp(self) -> None:
        if not has_ipv6():
            raise SkipTest("this machine has no ::1")

    def manager(
        self, config: EndpointConfig | None = None, **options: Any
    ) -> tuple[NetManager, Notebook]:
        heard = Notebook()
        manager = NetManager(heard, reactor=reactor, config=config, **options)
        manager.startService()
        self.addCleanup(manager.stopService)
        return manager, heard

    def heard_of(self, heard: Notebook, name: str) -> Deferred[Any]:
        """
        Fires with the arguments of the next call of this name.
        """
        waiting: Deferred[Any] = Deferred()

        def fire(*args: object) -> None:
            if not waiting.called:
                waiting.callback(args)

        heard.also[name] = fire
        return waiting

    async def both(self, **options: Any) -> None:
        server, heard = self.manager(**options)
        for interface in ("127.0.0.1", "::1"):
            client, _ = self.manager(interface=interface)
            arrived = self.heard_of(heard, "network_receive")
            peer = await client.connect((interface, server.local_port))
            peer.send(b"hello")
            speaker, _ = await arrived
            self.assertEqual(speaker.address, (interface, client.local_port))

    def test_two_sockets_share_one_number(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.both())

    def test_one_socket_for_both_shows_ipv4_peers_as_such(self) -> Deferred[None]:
        """
        PITFALLS D24: in the reference they are strangers that begin with ::ffff:.
        """
        return Deferred.fromCoroutine(self.both(ipv6=DUAL))

    def test_a_dual_stack_socket_reaches_ipv4(self) -> Deferred[None]:
        async def reach() -> None:
            for host, interface in (("127.0.0.1", "127.0.0.1"), ("::ffff:127.0.0.1", "127.0.0.1")):
                server, _ = self.manager(interface=interface)
                client, _ = self.manager(ipv6=DUAL)
                peer = await client.connect((host, server.local_port))
                self.assertEqual(peer.address, (interface, server.local_port))

        return Deferred.fromCoroutine(reach())

    def test_a_mapped_address_is_reached_over_ipv4(self) -> Deferred[None]:
        async def reach() -> None:
            server, _ = self.manager(interface="127.0.0.1")
            client, _ = self.manager()
            peer = await client.connect(("::ffff:127.0.0.1", server.local_port))
            self.assertEqual(peer.address, ("127.0.0.1", server.local_port))

        return Deferred.fromCoroutine(reach())

    def test_a_peer_on_the_link_is_reached_through_its_interface(self) -> Deferred[None]:
        host = link_local()
        if host is None:
            raise SkipTest("no interface with a link-local address")

        async def reach() -> None:
            server, heard = self.manager()
            client, _ = self.manager()
            arrived = self.heard_of(heard, "network_receive")
            peer = await client.connect((host, server.local_port))
            self.assertEqual(peer.address, (host, server.local_port))
            peer.send(b"hello")
            speaker, _ = await arrived
            self.assertEqual(speaker.address, (host, client.local_port))

        return Deferred.fromCoroutine(reach())

    def test_a_manager_of_one_version_says_that_it_has_no_other(self) -> Deferred[None]:
        async def refuse() -> None:
            client, heard = self.manager(interface="127.0.0.1")
            failed = self.heard_of(heard, "network_error")
            client.send_unconnected(("::1", 9), b"x")
            address, error = await failed
            self.assertEqual((address, error.errno), (("::1", 9), ENETUNREACH))

        return Deferred.fromCoroutine(refuse())

    def test_a_port_that_is_taken_in_ipv6_is_taken(self) -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(("::", 0))
            port = sock.getsockname()[1]
            manager = NetManager(Notebook(), reactor=reactor, port=port)
            with self.assertRaises(CannotListenError):
                manager.startService()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("0.0.0.0", port))

    def broadcast(
        self, make: Callable[[EndpointConfig], tuple[NetManager, Notebook]], interface: str
    ) -> Deferred[None]:
        async def speak() -> None:
            _, heard = receiver = make(EndpointConfig(broadcast_receive_enabled=True))
            speaker, _ = self.manager(interface=interface)
            arrived = self.heard_of(heard, "network_receive_unconnected")
            if not speaker.send_broadcast(b"anybody?", receiver[0].local_port):
                raise SkipTest(f"no network takes a broadcast from {interface}")
            address, data = await arrived
            self.assertEqual((address[1], data), (speaker.local_port, b"anybody?"))
            self.assertEqual(
                [kind for _, _, kind in heard.unconnected], [UnconnectedMessageType.BROADCAST]
            )

        return Deferred.fromCoroutine(speak())

    def test_a_broadcast_is_heard_over_ipv4(self) -> Deferred[None]:
        return self.broadcast(lambda config: self.manager(config, ipv6=DISABLED), "0.0.0.0")

    def test_a_broadcast_is_heard_over_ipv6(self) -> Deferred[None]:
        return self.broadcast(lambda config: self.manager(config, interface="::"), "::")

    def test_a_dual_stack_socket_hears_broadcasts_over_ipv4(self) -> Deferred[None]:
        return self.broadcast(lambda config: self.manager(config, ipv6=DUAL), "0.0.0.0")

    def test_whoever_does_not_want_broadcasts_hears_none(self) -> Deferred[None]:
        async def speak() -> None:
            deaf, heard = self.manager(interface="::1")
            server, _ = self.manager(interface="::1")
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"\x0banybody?", ("::1", deaf.local_port))
            await deaf.connect(("::1", server.local_port))
            self.assertEqual(heard.unconnected, [])
            self.assertEqual(deaf.statistics.dropped, {"broadcasts disabled": 1})

        return Deferred.fromCoroutine(speak())
