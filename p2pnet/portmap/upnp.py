"""
UPnP Internet Gateway Devices, by miniupnpc, whose calls block.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, DeferredLock

from p2pnet.portmap.client import Terms
from p2pnet.portmap.mapping import (
    Event,
    MappingFailed,
    MappingRefused,
    MappingUseless,
    PortMapped,
    check_host,
)
from p2pnet.portmap.threads import InThread

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

DISCOVERY_DELAY: Final = 1000
"""
Milliseconds to wait for routers after each of four questions, the least that miniupnpc takes.
"""
PATIENCE: Final = 20.0
"""
Seconds until a router is given up.  The call itself cannot be stopped; it ends when it ends.
"""
REFRESH: Final = 600.0
"""
Seconds after which the next check renews.  IGDs have no epoch: only that shows a restart.
"""

_DESCRIPTION: Final = "p2pnet"
_OTHER_PORTS: Final = 4
"""How many other external ports to try when ours is taken."""
_HIGH_PORTS: Final = 49152
"""The first of 2**14 that nobody owns (RFC 6335 §6)."""
_HIGH_PORT_BITS: Final = 14

_ONLY_PERMANENT: Final = "OnlyPermanentLeasesSupported"
_CONFLICTS: Final = ("ConflictInMappingEntry", "ConflictWithOtherMechanisms")
"""UPnP errors 725, and 718 and 729, as miniupnpc words them."""


class Igd(Protocol):
    """
    What we use of a ``miniupnpc.UPnP``.  Each method blocks, and raises bare ``Exception``.
    """

    @property
    def lanaddr(self) -> str:
        """
        Our own address, as the router was reached from.
        """

    def discover(self) -> int:
        """
        Ask the network for routers; how many devices answered.
        """

    def selectigd(self) -> str:
        """
        Choose the best that was found; the URL of its control.
        """

    def externalipaddress(self) -> str:
        """
        Its address outside.
        """

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
    ) -> object:
        """
        Make or renew a mapping; a lease is in seconds, 0 for good.
        """

    def deleteportmapping(self, external_port: int, protocol: str, /) -> object:
        """
        End a mapping.
        """


MakeIgd = Callable[[str | None], Igd]
"""
Takes our own address towards the router, if known; raises ``ImportError`` without miniupnpc.
"""


def miniupnpc_igd(local: str | None) -> Igd:
    """
    A fresh ``miniupnpc.UPnP``; see `MakeIgd`.
    """
    made: Igd = import_module("miniupnpc").UPnP(multicastif=local, discoverdelay=DISCOVERY_DELAY)
    return made


class UpnpRouter:
    """
    One mapping on the IGD of this network.  Every method blocks; one at a time.

    :param local: our own address on the way to the gateway, if known.
    :param gateway: the only machine that is believed to be the router, if known: every other one
        in the network can answer the search as well.
    """

    def __init__(
        self, terms: Terms, *, local: str | None, gateway: str | None, make_igd: MakeIgd
    ) -> None:
        self._terms = terms
        self._local = local
        self._gateway = gateway
        self._make_igd = make_igd
        self._igd: Igd | None = None
        self._lease = terms.lifetime
        self._external_port: int | None = None

    def map(self) -> PortMapped:
        """
        Make or renew the mapping; look for the router first, if it is not known or failed us.

        :return: good for its lifetime, or for twice `REFRESH` if the router only knows for good.
        :raise MappingRefused: there is none to be had, or none of use.
        """
        igd, self._igd = self._igd or self._find(), None
        host = self._external_host(igd)
        check_host(host)
        port = self._add(igd)
        self._igd = igd
        return PortMapped((host, port), self._lease or 2 * REFRESH)

    def unmap(self) -> None:
        """
        Give the mapping back, if there is one.

        :raise MappingRefused: the router will not have it; if it has a lease, that ends.
        """
        if self._external_port is None:
            return
        port, self._external_port = self._external_port, None
        igd = self._igd or self._find()
        self._ask(igd.deleteportmapping, port, "UDP")

    def _find(self) -> Igd:
        try:
            igd = self._make_igd(self._local)
        except ImportError:
            raise MappingRefused("miniupnpc is not installed") from None
        try:
            found = igd.discover()
        except Exception:
            # Finding nobody is one, called "Success".
            found = 0
        if not found:
            raise MappingRefused("no router answers")
        url = self._ask(igd.selectigd)
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        if self._gateway is not None and host != self._gateway:
            raise MappingRefused("what answers is not our gateway")
        return igd

    def _external_host(self, igd: Igd) -> str:
        text = self._ask(igd.externalipaddress)
        try:
            return str(ip_address(text))
        except ValueError:
            raise MappingRefused("the router tells no address") from None

    def _add(self, igd: Igd) -> int:
        """
        :return: the external port.
        """
        port = self._external_port or self._terms.port
        for _ in range(_OTHER_PORTS + 1):
            try:
                self._add_port(igd, port)
            except MappingRefused as refused:
                if str(refused) not in _CONFLICTS:
                    raise
                # If it was ours it is somebody else's now, and not ours to delete.
                self._external_port = None
                port = _HIGH_PORTS + self._terms.random(_HIGH_PORT_BITS)
            else:
                self._external_port = port
                return port
        raise MappingRefused("every port we tried is taken")

    def _add_port(self, igd: Igd, port: int) -> None:
        host = self._local or igd.lanaddr
        wanted = (port, "UDP", host, self._terms.port, _DESCRIPTION, "")
        try:
            self._ask(igd.addportmapping, *wanted, self._lease)
        except MappingRefused as refused:
            if str(refused) != _ONLY_PERMANENT or not self._lease:
                raise
            self._lease = 0
            self._ask(igd.addportmapping, *wanted, self._lease)

    @staticmethod
    def _ask(call: Callable[..., Any], *arguments: object) -> Any:
        try:
            return call(*arguments)
        except Exception as fault:
            # miniupnpc has no exception of its own; its texts are a fixed list.
            raise MappingRefused(str(fault)) from None


class UpnpLine:
    """
    Runs an `UpnpRouter` in threads, one call at a time.

    :param clock: seconds that never go back.
    :param told: takes what happens, until `stop`.
    """

    def __init__(
        self,
        router: UpnpRouter,
        *,
        in_thread: InThread,
        clock: IReactorTime,
        told: Callable[[Event], None],
    ) -> None:
        self._router = router
        self._in_thread = in_thread
        self._clock = clock
        self._told: Callable[[Event], None] | None = told
        self._lock = DeferredLock()
        self._patience: IDelayedCall | None = None
        self._renew_at = 0.0
        self._expires = 0.0

    def start(self) -> None:
        """
        Ask for the mapping.
        """
        self._patience = self._clock.callLater(PATIENCE, self._tell, MappingFailed("no answer"))
        self._begin()

    def check(self) -> None:
        """
        Renew the mapping if it is time.
        """
        now = self._clock.seconds()
        if now >= self._expires:
            self._tell(MappingFailed("no answer"))
        elif now >= self._renew_at and not self._lock.locked:
            self._begin()

    def stop(self) -> Deferred[None]:
        """
        Give the mapping back, when the call that is under way has ended; nothing more is told.

        With a router that keeps a thread busy it fires late, or never.
        """
        self._told = None
        self._forget_patience()
        given_back: Deferred[None] = self._lock.run(self._in_thread, self._router.unmap)
        # A lease ends by itself.
        return given_back.addErrback(lambda failure: failure.trap(MappingRefused) and None)

    def _begin(self) -> None:
        asking: Deferred[PortMapped] = self._lock.run(self._in_thread, self._router.map)
        asking.addCallbacks(self._mapped, self._failed)

    def _mapped(self, mapped: PortMapped) -> None:
        now = self._clock.seconds()
        self._renew_at = now + min(mapped.lifetime / 2, REFRESH)
        self._expires = now + mapped.lifetime
        self._tell(mapped)

    def _failed(self, failure: Failure) -> None:
        failure.trap(MappingRefused)
        # What we have may outlive a router that is busy; the next check asks again.
        if failure.check(MappingUseless) or self._clock.seconds() >= self._expires:
            self._tell(MappingFailed(failure.getErrorMessage()))

    def _tell(self, event: Event) -> None:
        self._forget_patience()
        if self._told is not None:
            self._told(event)

    def _forget_patience(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
