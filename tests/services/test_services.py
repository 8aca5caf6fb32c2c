"""
What each command puts together, on a reactor that only writes down.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import (
    LogLevel,
    formatEvent,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import classImplementsOnly, implementedBy

from p2pnet.chat.service import ChatService
from p2pnet.services import chat, everything, signaling
from p2pnet.services.keys import own_key
from p2pnet.services.limits import LimitSettings
from p2pnet.services.ordered import OrderedServices
from p2pnet.services.settings import ChatSettings, LogSettings, RendezvousSettings, Settings
from p2pnet.signaling.identity import id_of_key
from tests.logs import log_events


class _UdpPort:
    def __init__(self, interface: str, port: int) -> None:
        self._host = IPv4Address("UDP", interface or "0.0.0.0", port)

    def getHost(self) -> IPv4Address:
        return self._host

    def stopListening(self) -> None:
        pass


class Reactor(MemoryReactorClock):
    """
    One that takes UDP ports too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bound: list[str] = []

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> _UdpPort:
        self.bound.append(f"udp {interface or '*'}:{port}")
        return _UdpPort(interface, port)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        self.bound.append(f"tcp {interface or '*'}:{port}")
        return super().listenTCP(port, factory, backlog, interface)


# Its UDP ports are its own: nothing is bound for real.
classImplementsOnly(Reactor, implementedBy(MemoryReactorClock) - IReactorFDSet)


def settings_of(
    rendezvous: RendezvousSettings | None = None, chat: ChatSettings | None = None
) -> Settings:
    return Settings(
        rendezvous or RendezvousSettings(),
        LimitSettings(),
        chat or ChatSettings(),
        LogSettings(),
    )


class MakeServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()

    def assembled(
        self, add: Callable[[OrderedServices, Any, Settings], object], settings: Settings
    ) -> OrderedServices:
        services = OrderedServices(self.reactor)
        add(services, self.reactor, settings)
        return services

    def assembled_chat(self, settings: ChatSettings) -> OrderedServices:
        services = OrderedServices(self.reactor)
        chat.add_chat(services, self.reactor, settings)
        return services

    def start(self, services: OrderedServices) -> list[str]:
        """
        :return: what has been bound.
        """
        self.assertEqual(self.reactor.bound, [], "nothing happens before the start")
        services.privilegedStartService()
        services.startService()
        self.addCleanup(services.stopService)
        return self.reactor.bound

    def test_a_rendezvous_server_listens_where_it_was_told(self) -> None:
        settings = RendezvousSettings(
            http="tcp:80:interface=10.0.0.1", udp_port=53, udp_interface="10.0.0.2"
        )
        services = self.assembled(signaling.add_rendezvous, settings_of(settings))
        bound = self.start(services)
        self.assertEqual(bound, ["tcp 10.0.0.1:80", "udp 10.0.0.2:53", "udp 10.0.0.2:9051"])

    def test_a_chat_listens_where_it_was_told_and_calls_its_server(self) -> None:
        settings = ChatSettings(
            server="http://192.0.2.1:8123",
            console="tcp:5000:interface=127.0.0.1",
            udp_port=6000,
            udp_interface="10.0.0.2",
            port_mapping="off",
        )
        bound = self.start(self.assembled_chat(settings))
        self.assertEqual(bound, ["tcp 127.0.0.1:5000", "udp 10.0.0.2:6000"])
        self.assertEqual([client[1] for client in self.reactor.tcpClients], [8123])

    def test_a_chat_turns_to_its_servers_one_after_the_other(self) -> None:
        settings = ChatSettings(
            server="http://192.0.2.1:81, http://192.0.2.2:82", udp_port=6000, port_mapping="off"
        )
        self.start(self.assembled_chat(settings))
        (first,) = self.reactor.tcpClients
        self.assertEqual(first[1], 81)
        first[2].clientConnectionFailed(self.reactor.connectors[0], Failure(ConnectError()))
        self.reactor.pump([0.1] * 10)
        self.assertEqual([each[1] for each in self.reactor.tcpClients[1:]], [82])

    def test_a_chat_with_a_key_has_the_same_id_after_a_restart(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "key.pem")

        def peer_id(**settings: Any) -> str:
            services = self.assembled_chat(ChatSettings(username="alice", **settings))
            named = services.getServiceNamed("chat of alice")
            assert isinstance(named, ChatService)
            return named.identity.peer_id

        first = peer_id(key_file=path)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(peer_id(key_file=path), first)
        self.assertEqual(first, id_of_key(own_key(path).public))
        self.assertNotEqual(peer_id(), peer_id())

    def test_a_key_that_cannot_be_kept_ends_the_start_with_a_word_about_it(self) -> None:
        with self.assertRaisesRegex(SystemExit, "--key-file: '/nowhere/key.pem' cannot be made"):
            self.assembled_chat(ChatSettings(key_file="/nowhere/key.pem"))

    def test_a_whole_node_has_a_server_and_a_chat(self) -> None:
        settings = settings_of(chat=ChatSettings(port_mapping="off"))
        services = self.assembled(everything.add_node, settings)
        bound = self.start(services)
        rendezvous = ["tcp *:8000", "udp 0.0.0.0:9050", "udp 0.0.0.0:9051"]
        peer = ["tcp 127.0.0.1:4040", "udp 0.0.0.0:0", "udp :::0"]
        self.assertEqual(sorted(bound), sorted(rendezvous + peer))

    def test_the_chat_of_a_whole_node_stops_before_its_server(self) -> None:
        """
        It says goodbye over its engine and unregisters with the REST API, so they stop after it.
        """
        settings = settings_of(
            RendezvousSettings(metrics="tcp:9052"), ChatSettings(username="alice")
        )
        services = self.assembled(everything.add_node, settings)
        self.assertEqual(
            [child.name for child in reversed(services.services)],
            [
                "console on tcp:4040:interface=127.0.0.1 (--console)",
                "chat of alice",
                "registration with http://127.0.0.1:8000",
                "port mapping (--port-mapping)",
                "chat engine on UDP port 0 of all interfaces"
                " (--chat-udp-port, --chat-udp-interface)",
                "farewell on SIGTERM",
                "metrics on tcp:9052 (--metrics)",
                "reactor lag",
                "REST API on tcp:8000 (--http)",
                "samples of figures",
                "observer on UDP port 9051 of all interfaces (--observer-port, --udp-interface)",
                "rendezvous engine on UDP port 9050 of all interfaces"
                " (--udp-port, --udp-interface)",
                "registry memory: (--registry)",
            ],
        )

    def test_who_wants_no_port_mapped_has_nothing_that_would(self) -> None:
        services = self.assembled_chat(ChatSettings(port_mapping="off"))
        self.assertNotIn("port mapping", " ".join(child.name for child in services.services))


class TurnSecretTests(SynchronousTestCase):
    """
    Who shares a secret with TURN servers keeps it in a file.
    """

    def warnings(self, mode: int) -> list[str]:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "secret")
        with open(path, "w") as file:
            file.write("a shared secret\n")
        os.chmod(path, mode)
        events = log_events(self)
        settings = RendezvousSettings(turn="turn.example:3478", turn_secret_file=path)
        reactor = Reactor()
        signaling.add_rendezvous(OrderedServices(reactor), reactor, settings_of(settings))
        said = [str(formatEvent(each)) for each in events if each["log_level"] is LogLevel.warn]
        assert "a shared secret" not in str(events)
        return [text for text in said if path in text]

    def test_a_file_that_anybody_can_read_is_warned_of(self) -> None:
        (warning,) = self.warnings(0o644)
        assert "anybody on this machine can read" in warning
        assert "--turn-secret-file" in warning

    def test_a_file_of_ones_own_is_not(self) -> None:
        self.assertEqual(self.warnings(0o640), [])


class OwnServerTests(SynchronousTestCase):
    """
    A whole node registers with itself.
    """

    def server(self, http: str) -> str:
        options = everything.Options()
        options.parseOptions(["--http", http])
        return options.effective.chat.server

    def test_it_is_found_on_the_interface_it_listens_on(self) -> None:
        self.assertEqual(self.server("tcp:81"), "http://127.0.0.1:81")
        self.assertEqual(self.server("tcp:81:interface=0.0.0.0"), "http://127.0.0.1:81")
        self.assertEqual(self.server("tcp:81:interface=10.1.2.3"), "http://10.1.2.3:81")
        self.assertEqual(self.server("tcp6:81"), "http://127.0.0.1:81")
