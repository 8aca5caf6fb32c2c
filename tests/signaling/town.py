"""
Peers with real engines on an internet in memory, and a daemon between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    UnconnectedMessageType,
)
from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.manager import NetManager
from p2pnet.reach.outcome import Outcome
from p2pnet.rudp.config import EndpointConfig
from p2pnet.signaling.client import RendezvousClient
from p2pnet.signaling.directory import Answer
from p2pnet.signaling.observers import Observer
from p2pnet.signaling.shapes import UdpEndpoint
from p2pnet.testing import Network
from p2pnet.testing.network import Fate
from tests.net.world import make_manager
from tests.signaling.daemon import ALICE, BOB, CAROL, WALL, Daemon
from tests.signaling.homes import Home
from tests.signaling.standin import DAEMON, OBSERVER, SERVER, StandIn

HOSTS = {"alice": "198.51.100.1", "bob": "198.51.100.2", "carol": "198.51.100.3"}
IDS = {"alice": ALICE, "bob": BOB, "carol": CAROL}
ALICE_AT: Address = (HOSTS["alice"], 5000)
BOB_AT: Address = (HOSTS["bob"], 5000)
ENGINE = EndpointConfig(reconnect_delay=0.15, max_connect_attempts=20)
"""As `p2pnet.services.chat` has it."""


@implementer(INetEventListener)
class Somebody:
    """
    A peer; lets in whom signaling has introduced.

    :param home: where it lives behind a NAT; None for a machine of its own.
    """

    def __init__(self, town: Town, name: str, *, home: Home | None = None, **options: Any) -> None:
        self.name = name
        self.peer_id = IDS[name]
        self.connected: list[INetPeer] = []
        self.disconnected: list[tuple[INetPeer, DisconnectInfo]] = []
        self.received: list[bytes] = []
        self.callers: list[str | None] = []
        """Who wanted to connect, as far as that was proven."""
        self.requests: list[bytes] = []
        self.town = town
        self.reactor: Any = town.network.host(HOSTS[name]) if home is None else home
        host = self.reactor.address
        self.manager = NetManager(
            self,
            reactor=self.reactor,
            port=5000,
            ipv6=Ipv6Mode.DISABLED,
            config=ENGINE,
            clock=self.reactor.seconds,
            wall=lambda: WALL + self.reactor.seconds(),
            random=Random(name).getrandbits,
        )
        settings: dict[str, Any] = {
            "servers": [SERVER],
            "local_address": lambda ip: host,
            "local_addresses": lambda: [host],
        }
        self.client = RendezvousClient(
            self.manager,
            town.daemon,
            peer_id=self.peer_id,
            username=name,
            clock=self.reactor,
            wall=lambda: WALL + self.reactor.seconds(),
            resolve=lambda host: succeed(DAEMON[0]),
            bits=Random(name).getrandbits,
            random=lambda: 0.5,
            **(settings | options),
        )

    def start(self) -> None:
        self.manager.startService()
        self.client.startService()

    def stop(self) -> Deferred[Any]:
        """
        As a node stops: the engine last.
        """
        return self.client.stopService().addCallback(lambda _: self.manager.stopService())

    def dial(self, other: Somebody) -> Deferred[INetPeer]:
        return self.client.dial(other.peer_id, self)

    def outcome(self, other: Somebody) -> Outcome:
        outcome = self.client.outcome(other.peer_id)
        assert outcome is not None
        return outcome

    # ------------------------------------------------------------ INetEventListener

    def connection_request(self, request: IConnectionRequest) -> None:
        self.requests.append(request.data)
        caller = self.client.introduced(request.data)
        self.callers.append(caller)
        if caller is None:
            request.reject(b"who are you?")
        else:
            request.accept()

    def peer_connected(self, peer: INetPeer) -> None:
        self.connected.append(peer)

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self.disconnected.append((peer, info))

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        self.received.append(data)

    def network_error(self, address: Address | None, error: OSError) -> None:
        pass

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        pass

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        pass


class RealDaemon(Daemon):
    """
    The real one, with a real engine and two observers, and HTTP that takes no time.
    """

    def __init__(self, network: Network) -> None:
        # It is a clock as far as a daemon needs one.
        super().__init__(network.host(DAEMON[0]))  # type: ignore[arg-type]
        self._network = network
        self._observer = Observer(clock=self.clock)
        self.engine = self._open(DAEMON)
        self.introducer.attach(self.engine)
        self._open(OBSERVER)
        self.observers = [UdpEndpoint(OBSERVER[1], OBSERVER[0])]

    def _open(self, address: Address) -> NetManager:
        manager = make_manager(
            self._network, self.introducer.attendance, address, nat_punch_enabled=True
        )
        manager.startService()
        self._observer.attach(manager)
        return manager

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        name: str | None = None,
        secret: str | None = None,
    ) -> Deferred[Answer]:
        return self.http().request(method, url, body=body, name=name, secret=secret)


class Town:
    """
    :param standin: the daemon is one that says what the test wants.
    :param conditions: see `p2pnet.testing.network.Conditions`; 20 ms of latency if nothing is said.
    """

    def __init__(self, seed: int = 1, *, standin: bool = False, **conditions: Any) -> None:
        self.network = Network(seed, **({"latency": 0.02} | conditions))
        self.daemon: Any = StandIn(self.network) if standin else RealDaemon(self.network)
        self.people: list[Somebody] = []

    def home(self, name: str, *, symmetric: bool = False) -> Home:
        """
        A NAT at the public address of somebody.
        """
        return Home(self.network, HOSTS[name], symmetric=symmetric)

    def person(self, name: str, **options: Any) -> Somebody:
        """
        Somebody who is online.
        """
        person = Somebody(self, name, **options)
        self.people.append(person)
        person.start()
        self.network.run_until(lambda: person.client.online)
        # The NAT is known, too.
        self.network.run(2.5)
        return person

    def run(self, seconds: float) -> None:
        self.network.run(seconds)

    def datagrams(self, source: Address, target: Address) -> list[bytes]:
        """
        What is sent from one address to another from now on.
        """
        sent: list[bytes] = []

        def tap(now: float, a: Address, b: Address, data: bytes, fate: Fate) -> None:
            if (a, b) == (source, target) and fate is not Fate.DUPLICATED:
                sent.append(data)

        self.network.tap(tap)
        return sent


@contextmanager
def case(**values: object) -> Iterator[None]:
    """
    What is asserted within is about `values`.
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"with {values}")
        raise


class TownCase(SynchronousTestCase):
    """
    Whatever a test does, everybody can stop, and leaves nothing behind.
    """

    def make_town(self, seed: int = 1, **options: Any) -> Town:
        town = Town(seed, **options)
        self.addCleanup(self.close, town)
        return town

    def close(self, town: Town) -> None:
        for person in town.people:
            if person.manager.running:
                gone = person.stop()
                town.run(2.5)
                self.successResultOf(gone)
        town.run(1.0)
        for person in town.people:
            left = list(person.reactor.getDelayedCalls())
            self.assertEqual(left, [], f"{person.name} has left timers")

    def meet(self, one: Somebody, other: Somebody, within: float = 1.0) -> INetPeer:
        """
        The connection that one's dial of the other leads to.
        """
        dial = one.dial(other)
        results: list[object] = []
        dial.addBoth(results.append)
        one.town.network.run_until(lambda: results, within)
        (peer,) = results
        assert hasattr(peer, "address"), peer
        return peer  # type: ignore[return-value]  # narrowed by what it has

    def pair(self, town: Town, **options: Any) -> tuple[Somebody, Somebody]:
        return town.person("alice", **options), town.person("bob", **options)

    def talks(self, town: Town, peer: INetPeer, other: Somebody) -> None:
        """
        What is said on one side is heard on the other.
        """
        peer.send(b"hello")
        town.network.run_until(lambda: b"hello" in other.received, 5.0)

    def fails(self, dial: Deferred[Any], reason: str) -> str:
        error = self.failureResultOf(dial, DialFailed).value
        self.assertEqual(error.reason, reason)
        return str(error)
