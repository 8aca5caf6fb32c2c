"""
A machine with one cable, to a `Router`, and a clock that is moved by hand; and an IGD.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRNOTAVAIL
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock, deferLater

from p2pnet.portmap.mapper import PortMapper
from p2pnet.portmap.upnp import Igd
from p2pnet.wire.constants import Address
from tests.portmap.routers import GATEWAY, LOCAL, PORT, PUBLIC, Router

T = TypeVar("T")

DELAY = 0.001
"""Seconds to the router and back."""


class LanPort:
    """
    A UDP port, connected, as Twisted has it with epoll: closed by the first refusal.
    """

    def __init__(self, lan: Lan, protocol: DatagramProtocol) -> None:
        self.lan = lan
        self.protocol = protocol
        self.server: Address | None = None

    def connect(self, host: str, port: int) -> None:
        if self.lan.unroutable:
            raise OSError("Network is unreachable")
        self.server = (host, port)

    def write(self, data: bytes, addr: Address | None = None) -> None:
        assert self.server is not None
        assert addr is None
        if self.lan.unreachable:
            raise OSError("Network is unreachable")
        router = self.lan.routers.get(self.server)
        if router is None:
            self.lan.callLater(DELAY, self.close)
            return
        for answer in router.answer(data, self.lan.seconds()):
            self.lan.callLater(DELAY, self.arrive, answer)

    def arrive(self, data: bytes) -> None:
        if self in self.lan.open:
            assert self.server is not None
            self.protocol.datagramReceived(data, self.server)

    def close(self) -> None:
        if self in self.lan.open:
            self.lan.open.remove(self)
            self.protocol.doStop()

    def stopListening(self) -> Deferred[None]:
        return deferLater(self.lan, 0, self.close)


class Lan(Clock):
    """
    What of a reactor a `PortMapper` uses.

    :ivar routers: who listens where; nobody elsewhere, and the machine there says so.
    :ivar gateway: of the default route.
    :ivar local: our address.
    :ivar open: the UDP ports that are.
    """

    def __init__(self, router: Router | None = None) -> None:
        super().__init__()
        self.advance(1000.0)
        self.routers = {} if router is None else {(GATEWAY, 5351): router}
        self.gateway: str | None = GATEWAY
        self.local = LOCAL
        self.open: list[LanPort] = []
        self.unreachable = False
        self.unroutable = False
        self.no_sockets = False

    def listenUDP(self, port: int, protocol: DatagramProtocol, interface: str = "") -> LanPort:
        if self.no_sockets or interface != self.local:
            raise CannotListenError(interface, port, OSError(EADDRNOTAVAIL, "no such address"))
        made = LanPort(self, protocol)
        self.open.append(made)
        protocol.makeConnection(made)  # type: ignore[arg-type]  # what we use of it
        return made

    def local_address(self, remote: str) -> str:
        if self.local == "none":
            raise OSError("Network is unreachable")
        return self.local

    def pass_time(self, seconds: float) -> None:
        """
        Let time pass in steps as small as anything that is waited for.
        """
        deadline = self.seconds() + seconds
        while (calls := self.getDelayedCalls()) and calls[0].getTime() <= deadline:
            self.advance(max(0.0, calls[0].getTime() - self.seconds()))
        self.advance(deadline - self.seconds())


class Threads:
    """
    Makes blocking calls at once, or, while `stuck`, when it is told to.
    """

    def __init__(self) -> None:
        self.stuck = False
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        if not self.stuck:
            return maybeDeferred(call)
        done: Deferred[T] = Deferred()

        def finish() -> None:
            maybeDeferred(call).chainDeferred(done)

        self.waiting.append(finish)
        return done

    def finish(self) -> None:
        """
        Let the calls that wait end.
        """
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


class FakeIgd:
    """
    A router's UPnP side, as miniupnpc shows it.

    :ivar mappings: by external port: internal host, port and lease.
    :ivar asked: every call, by name.
    """

    def __init__(self) -> None:
        self.present = True
        self.host = PUBLIC
        self.url = f"http://{GATEWAY}:5000/control"
        self.taken: set[int] = set()
        self.permanent_only = False
        self.fault: str | None = None
        self.mappings: dict[int, tuple[str, int, int]] = {}
        self.asked: list[str] = []
        self.made_for: list[str | None] = []

    def __call__(self, local: str | None) -> Igd:
        self.made_for.append(local)
        return self

    @property
    def lanaddr(self) -> str:
        return "192.168.77.42"

    def discover(self) -> int:
        self.asked.append("discover")
        if not self.present:
            raise Exception("Success")
        return 1

    def selectigd(self) -> str:
        self.asked.append("selectigd")
        return self.url

    def externalipaddress(self) -> str:
        self.asked.append("externalipaddress")
        return self.host

    def addportmapping(
        self,
        external_port: int,
        protocol: str,
        host: str,
        port: int,
        description: str,
        remote_host: str,
        lease: int,
        /,
    ) -> bool:
        self.asked.append(f"add {external_port} {lease}")
        assert (protocol, description, remote_host) == ("UDP", "p2pnet", "")
        if self.fault is not None:
            raise Exception(self.fault)
        if external_port in self.taken:
            raise Exception("ConflictInMappingEntry")
        if lease and self.permanent_only:
            raise Exception("OnlyPermanentLeasesSupported")
        self.mappings[external_port] = (host, port, lease)
        return True

    def deleteportmapping(self, external_port: int, protocol: str, /) -> bool:
        self.asked.append(f"delete {external_port}")
        if self.fault is not None:
            raise Exception(self.fault)
        if external_port not in self.mappings:
            raise Exception("NoSuchEntryInArray")
        del self.mappings[external_port]
        return True


class Seat:
    """
    A `PortMapper` in a `Lan`, and what it announces.
    """

    def __init__(self, lan: Lan, igd: FakeIgd | None = None, **options: Any) -> None:
        self.lan = lan
        self.igd = igd or FakeIgd()
        if igd is None:
            self.igd.present = False
        self.threads = Threads()
        self.announced: list[Address | None] = []
        self.mapper = PortMapper(
            lambda: PORT,
            self.announced.append,
            reactor=lan,
            clock=lan,
            random=Random(3).getrandbits,
            local_address=lan.local_address,
            gateway=lambda: lan.gateway,
            in_thread=self.threads,
            make_igd=self.igd,
            **options,
        )

    def start(self, seconds: float = 5.0) -> Seat:
        self.mapper.startService()
        self.lan.pass_time(seconds)
        return self

    def stop(self) -> float:
        """
        Stop; how many seconds that took.
        """
        began = self.lan.seconds()
        stopped = self.mapper.stopService()
        while not stopped.called:
            assert self.lan.seconds() - began < 10, "does not stop"
            self.lan.advance(0.05)
        assert stopped.result is None
        return self.lan.seconds() - began
