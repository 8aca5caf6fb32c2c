"""
What the rooms are handed of the machine they run on: time, names and its own address.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorTime, IResolutionReceiver
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import (
        IAddress,
        IDelayedCall,
        IHostResolution,
        IReactorPluggableNameResolver,
    )

_DISCARD: Final = 9
"""The port of RFC 863; nothing is sent there."""


@implementer(IReactorTime)
class MonotonicClock:
    """
    The timers of a reactor, and seconds that never go back; a reactor's own are the wall clock's.
    """

    def __init__(
        self, reactor: IReactorTime, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds

    def seconds(self) -> float:
        return self._seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return self._reactor.getDelayedCalls()


@implementer(IResolutionReceiver)
class _FirstAddress:
    """
    Fires `found` with the first address of a name, or fails it when there is none.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.found: Deferred[str] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        Nothing.
        """

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, IPv4Address | IPv6Address) and not self.found.called:
            self.found.callback(address.host)

    def resolutionComplete(self) -> None:
        if not self.found.called:
            self.found.errback(DNSLookupError(f"no address for {self._name!r}"))


def resolve(
    reactor: IReactorPluggableNameResolver, name: str, *, like: str = ""
) -> Deferred[str]:
    """
    A literal IP for a host name.

    :param like: an address of the socket that is to reach it; empty for any of IPv4.
    :raise DNSLookupError: it has none of that family.
    """
    first = _FirstAddress(name)
    family = IPv6Address if ":" in like else IPv4Address
    reactor.nameResolver.resolveHostName(first, name, addressTypes=[family])
    return first.found


def local_address(remote: str, *, bound: str = "") -> str:
    """
    This machine's address on the way to the literal IP `remote`.

    :param bound: the address of the socket that goes there; empty for all.
    :raise OSError: there is no way.
    """
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((bound, 0))
        # Of UDP, connect only chooses a route.
        probe.connect((remote, _DISCARD))
        host: str = probe.getsockname()[0]
        return host
