"""
What people write for an address, a name or an IP and a port, and what becomes of the name.

With a host name::

    address = await resolve(reactor, *parse_endpoint("game.example.org:9050"))
    peer = await manager.connect(address, "key")
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

from p2pnet.net.addresses import from_sockaddr, normalised_host
from p2pnet.text import is_host_name
from p2pnet.wire.constants import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import (
        IAddress,
        IHostResolution,
        IReactorPluggableNameResolver,
    )

IpVersion = Literal[4, 6]

_PORT: Final = re.compile("[0-9]{1,5}")
_LOCALHOST: Final[dict[IpVersion | None, str]] = {None: "127.0.0.1", 4: "127.0.0.1", 6: "::1"}
"""Known without a look-up, as in the reference."""
_TYPES: Final[dict[IpVersion | None, list[type[IPv4Address | IPv6Address]]]] = {
    None: [IPv4Address, IPv6Address],
    4: [IPv4Address],
    6: [IPv6Address],
}


def parse_endpoint(text: str) -> Address:
    """
    Take ``HOST:PORT`` apart: ``127.0.0.1:9050``, ``[fe80::1%3]:9050``, ``game.example.org:9050``.

    :return: a literal IP as our sockets spell it, or a name for `resolve`; a port in 1..65535.
    :raise ValueError: it is something else; the message has all of it, and why.
    """
    host, colon, port = text.rpartition(":")
    try:
        if not colon:
            raise ValueError("it has no port")
        if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
            raise ValueError(f"the port must be in 1..65535, not {port!r}")
        if host.startswith("[") and host.endswith("]"):
            literal = _literal(host[1:-1])
            if literal is None or ":" not in host:
                raise ValueError(f"{host} is no IPv6 address")
            return literal, int(port)
        if ":" in host:
            raise ValueError("an IPv6 address stands in brackets, as in [::1]:9050")
        return _literal(host) or _name(host), int(port)
    except ValueError as error:
        raise ValueError(f"{text!r} is no HOST:PORT: {error}") from None


def resolve(
    reactor: IReactorPluggableNameResolver,
    host: str,
    port: int,
    *,
    version: IpVersion | None = None,
) -> Deferred[Address]:
    """
    The address of a host, for ``connect``, ``create_ntp_request`` and the like.

    :param host: a literal IP, which is taken as it is, or a name.
    :param port: 1..65535.
    :param version: the one IP version of a name that will do, 4 for a manager without IPv6; None
        takes what the system thinks best: IPv6 if there is a way, else IPv4 (RFC 6724).
    :return: fails as `resolve_host`.
    :raise ValueError: no host, no name, or no port.
    """
    if not 0 < port < 65536:
        raise ValueError(f"port must be in 1..65535, not {port}")
    found = resolve_host(reactor, host, version=version)
    return found.addCallback(lambda literal: (literal, port))


def resolve_host(
    reactor: IReactorPluggableNameResolver, host: str, *, version: IpVersion | None = None
) -> Deferred[str]:
    """
    As `resolve`, without a port.

    :return: a literal IP; fails with ``twisted.internet.error.DNSLookupError``, which names the
        host.  May be cancelled at any time.
    :raise ValueError: `host` is neither a literal IP nor a name.
    """
    if host == "localhost":
        return succeed(_LOCALHOST[version])
    literal = _literal(host)
    if literal is not None:
        return succeed(literal)
    best = _Best(host, version)
    reactor.nameResolver.resolveHostName(best, _name(host), addressTypes=_TYPES[version])
    return best.found


@implementer(IResolutionReceiver)
class _Best:
    """
    Fires `found` with the first address of a name, or fails it when there is none.
    """

    def __init__(self, name: str, version: IpVersion | None) -> None:
        self._name = name
        self._version = version
        # Cancelled, it is called; Twisted's own look-up cannot be stopped and is not heard then.
        self.found: Deferred[str] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        Nothing.
        """

    def addressResolved(self, address: IAddress) -> None:
        if self.found.called:
            return
        if isinstance(address, IPv6Address):
            scope = int(address.scopeID or 0)
            self.found.callback(from_sockaddr((address.host, 0, 0, scope))[0])
        elif isinstance(address, IPv4Address):
            self.found.callback(address.host)

    def resolutionComplete(self) -> None:
        if not self.found.called:
            kind = "" if self._version is None else f"IPv{self._version} "
            self.found.errback(DNSLookupError(f"no {kind}address for {self._name!r}"))


def _literal(host: str) -> str | None:
    """
    A literal IP as our sockets spell it; None if `host` is none.

    :raise ValueError: its scope is no interface of this machine.
    """
    try:
        ip_address(host)
    except ValueError:
        return None
    return normalised_host(host)


def _name(host: str) -> str:
    """
    A host name in the letters of the DNS.

    :raise ValueError: it is none.  A resolver that is given such a thing may never answer.
    """
    try:
        # What Python's own getaddrinfo would do with it.
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not is_host_name(name):
        raise ValueError(f"{host!r} is neither an IP address nor a host name")
    return name
