"""
Where the scenarios play: on sockets of this machine, or on an internet in memory.

A scenario is written once, as a coroutine that says `@scene`; each ground plays it in its own time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SkipTest

from p2pnet.interfaces import Address, DeliveryMethod, IConnectionRequest, INetPeer
from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig
from p2pnet.testing import Network
from p2pnet.wire.layers import Crc32cLayer, PacketLayer
from tests.net.world import Notebook

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase as Base
else:
    Base = object

KEY = "test_server"
SEED = 20
CRC = Crc32cLayer()
LOOPBACK, LOOPBACK_V6 = "127.0.0.1", "::1"

UNORDERED = DeliveryMethod.RELIABLE_UNORDERED
ORDERED = DeliveryMethod.RELIABLE_ORDERED
SEQUENCED = DeliveryMethod.SEQUENCED
RELIABLE_SEQUENCED = DeliveryMethod.RELIABLE_SEQUENCED
UNRELIABLE = DeliveryMethod.UNRELIABLE

S = TypeVar("S", bound="Ground")
Story = Coroutine[Deferred[Any], Any, None]


def scene(story: Callable[[S], Story]) -> Callable[[S], Deferred[None]]:
    """
    Make a test of a coroutine.
    """

    def test(self: S) -> Deferred[None]:
        return self.play(story(self))

    update_wrapper(test, story)
    return test


class Node:
    """
    A manager, who listens to it, and its IP.
    """

    def __init__(self, manager: NetManager, heard: Notebook, host: str) -> None:
        self.manager = manager
        self.heard = heard
        self.host = host
        heard.decide = self.let_in_who_knows_the_key
        self.start()

    @staticmethod
    def let_in_who_knows_the_key(request: IConnectionRequest) -> None:
        request.accept_if_key(KEY)

    @property
    def address(self) -> Address:
        return self.host, self.manager.local_port

    @property
    def peers(self) -> list[INetPeer]:
        return [*self.manager.peers]

    def start(self) -> None:
        self.manager.startService()

    def connect(self, other: Node, **options: Any) -> Deferred[INetPeer]:
        return self.manager.connect(other.address, KEY, **options)

    async def stop(self) -> None:
        """
        `Stop()` of the reference: all peers are told.
        """
        if self.manager.is_running:
            await self.manager.stopService()

    async def vanish(self) -> None:
        """
        `Stop(false)`: nobody is told, as if the program had been killed.
        """
        for peer in self.peers:
            peer.disconnect_force()
        await self.stop()


class Ground(Base):
    """
    Mix into a test case.  What is logged as a warning or worse fails the test, as in the reference.

    :cvar hurry: options of an Endpoint that make things happen sooner, where time is real.
    :cvar usual: options of all managers.
    """

    hurry: ClassVar[dict[str, Any]] = {}
    usual: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        print(f"seed {SEED}")
        self.complaints: list[LogEvent] = []
        self.nodes: list[Node] = []
        observer = cast(ILogObserver, self._overhear)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def play(self, story: Story) -> Deferred[None]:
        """
        Run a scenario, then end all its managers.
        """
        raise NotImplementedError

    def clock(self, index: int) -> IReactorTime:
        """
        The reactor of the node with this number.
        """
        raise NotImplementedError

    def host(self, index: int) -> tuple[str, dict[str, Any]]:
        """
        Under which IP a new node is reached, and the options of its manager that make it so.
        """
        raise NotImplementedError

    def free_port(self) -> int:
        """
        A number that a node can be bound to again and again.
        """
        raise NotImplementedError

    def node(
        self,
        *,
        port: int = 0,
        layer: PacketLayer | None = CRC,
        managed: dict[str, Any] | None = None,
        **options: Any,
    ) -> Node:
        """
        A manager that runs.

        :param managed: options of the manager.
        :param options: those of its Endpoint.
        """
        index = len(self.nodes) + 1
        host, placed = self.host(index)
        heard = Notebook()
        random = Random(f"{SEED} {index}")
        manager = NetManager(
            heard,
            reactor=self.clock(index),
            port=port,
            layer=layer,
            config=EndpointConfig(**options),
            **{"random": random.getrandbits, **placed, **self.usual, **(managed or {})},
        )
        node = Node(manager, heard, host)
        self.nodes.append(node)
        return node

    async def pair(self, **options: Any) -> tuple[Node, Node]:
        """
        A server and a client that has connected to it.
        """
        server, client = self.node(**options), self.node(**options)
        await client.connect(server)
        await self.until(lambda: server.peers)
        return server, client

    async def until(self, predicate: Callable[[], object], patience: float = 10.0) -> None:
        """
        Go on when ``predicate()`` is true.

        :param patience: seconds.
        """
        clock = self.clock(1)
        deadline = clock.seconds() + patience
        while not predicate():
            if clock.seconds() > deadline:
                self.fail(f"not so within {patience:g} s")
            await self.passed(0.002)

    async def passed(self, seconds: float) -> None:
        """
        Let so much time go by.
        """
        waiting: Deferred[None] = Deferred()
        self.clock(1).callLater(seconds, waiting.callback, None)
        await waiting

    async def acted(self, story: Story) -> None:
        """
        The scenario, and what goes for every scenario.
        """
        await story
        for node in self.nodes:
            await node.stop()
        self.assertEqual([event.get("log_format") for event in self.complaints], [])
        self.assertEqual([node.heard.errors for node in self.nodes if node.heard.errors], [])

    def _overhear(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.warn:
            self.complaints.append(event)


class Loopback(Ground):
    """
    Real sockets, one for IPv4 and one for IPv6 where there is such a thing, and real time.
    """

    timeout = 20
    hurry: ClassVar[dict[str, Any]] = {"ping_interval": 0.05, "reconnect_delay": 0.03}
    ip = LOOPBACK

    def play(self, story: Story) -> Deferred[None]:
        # A scenario that fails leaves them running.
        self.addCleanup(lambda: gatherResults([self.ended(node) for node in self.nodes]))
        return Deferred.fromCoroutine(self.acted(story))

    def ended(self, node: Node) -> Deferred[None]:
        return Deferred.fromCoroutine(node.stop())

    def clock(self, index: int) -> IReactorTime:
        return IReactorTime(reactor)

    def host(self, index: int) -> tuple[str, dict[str, Any]]:
        return self.ip, {
            "interface": LOOPBACK,
            "interface_v6": LOOPBACK_V6 if has_ipv6() else None,
        }

    def free_port(self) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK, 0))
            port: int = sock.getsockname()[1]
        return port


class LoopbackV6(Loopback):
    """
    The same, and the calls go over IPv6.
    """

    ip = LOOPBACK_V6

    def setUp(self) -> None:
        super().setUp()
        if not has_ipv6():
            raise SkipTest("this machine has no ::1")


class DualStack(Loopback):
    """
    One IPv6 socket for both, and the calls go over IPv4.
    """

    def setUp(self) -> None:
        super().setUp()
        if not has_ipv6():
            raise SkipTest("this machine has no ::1")

    def host(self, index: int) -> tuple[str, dict[str, Any]]:
        return self.ip, {"ipv6": Ipv6Mode.DUAL}


class Internet(Ground):
    """
    A host for each node, 20 ms apart from one another, and time that passes when it is told to.

    :cvar conditions: of every way, see `p2pnet.testing.network.Conditions`.
    """

    conditions: ClassVar[dict[str, Any]] = {"latency": 0.02}

    def setUp(self) -> None:
        super().setUp()
        self.network = Network(SEED, **self.conditions)

    def play(self, story: Story) -> Deferred[None]:
        played = Deferred.fromCoroutine(self.acted(story))
        self.network.run_until(lambda: played.called, timeout=7200.0)
        return played

    def clock(self, index: int) -> IReactorTime:
        return self.network.host(*self._addresses(index))

    def host(self, index: int) -> tuple[str, dict[str, Any]]:
        seconds = self.clock(index).seconds
        return self._addresses(index)[0], {
            "clock": seconds,
            "wall": lambda: 1.7e9 + seconds(),
        }

    def free_port(self) -> int:
        return 9049

    @staticmethod
    def _addresses(index: int) -> tuple[str, str]:
        return f"10.0.0.{index}", f"fd00::{index}"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK_V6, 0))
    except OSError:
        return False
    return True
