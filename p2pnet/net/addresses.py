"""
Which addresses a manager binds, and how it spells those of others.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from p2pnet.wire.constants import Address

ANY_IPV4: Final = "0.0.0.0"
"""All IPv4 addresses of this machine."""
ANY_IPV6: Final = "::"
"""All IPv6 addresses of this machine."""
ALL_NODES: Final = "ff02::1"
"""Who hears a broadcast over IPv6 (WIRE §7)."""
EVERYBODY: Final = "255.255.255.255"
"""Who hears a broadcast over IPv4 (WIRE §7)."""

_MAPPED_PREFIX: Final = "::ffff:"


class Ipv6Mode(Enum):
    """
    What a manager does about IPv6; values as in LiteNetLib.
    """

    DISABLED = 0
    """Nothing, unless `interface` itself is an IPv6 address."""
    SEPARATE = 1
    """A socket of its own, with the same port number."""
    DUAL = 2
    """One IPv6 socket for both; its IPv4 peers still have IPv4 addresses (PITFALLS D24)."""


@dataclass(frozen=True, slots=True)
class Binding:
    """
    What is to be bound: one address of each IP version, or None.

    :ivar dual: the IPv6 socket takes IPv4 as well.
    """

    ipv4: str | None
    ipv6: str | None
    dual: bool = False

    @classmethod
    def of(cls, interface: str, interface_v6: str | None, mode: Ipv6Mode) -> Binding:
        """
        What the options of a manager mean.

        :param interface: a literal address; "" is all of IPv4.  An IPv6 address binds only that.
        :param interface_v6: a literal IPv6 address; None is all of IPv6 if `interface` is "", and
            else no IPv6.
        :raise ValueError: no literal address, or options that contradict each other.
        """
        version = ip_address(interface).version if interface else None
        if interface_v6 is not None:
            IPv6Address(interface_v6)
            if version == 6:
                raise ValueError(f"two IPv6 addresses, {interface} and {interface_v6}")
            if mode is Ipv6Mode.DISABLED:
                raise ValueError(f"interface_v6 is {interface_v6}, but IPv6 is disabled")
        if version == 6:
            return cls(None, interface, mode is Ipv6Mode.DUAL)
        if mode is Ipv6Mode.DUAL:
            if interface:
                raise ValueError(f"a dual-stack socket cannot be bound to {interface}")
            return cls(None, interface_v6 or ANY_IPV6, dual=True)
        if interface_v6 is None and (interface or mode is Ipv6Mode.DISABLED):
            return cls(interface or ANY_IPV4, None)
        return cls(interface or ANY_IPV4, interface_v6 or ANY_IPV6)

    def separately(self) -> Binding:
        """
        The same without a dual-stack socket, where there is no such thing.
        """
        if self.dual and self.ipv6 == ANY_IPV6:
            return Binding(ANY_IPV4, ANY_IPV6)
        return Binding(self.ipv4, self.ipv6)


def normalised(address: Address) -> Address:
    """
    ``address`` as our sockets spell it, so that what comes from there compares equal.

    An IPv4 address mapped into IPv6 is an IPv4 address; a scope is a number.

    :raise ValueError: the host is no literal IP, or the port not in 1..65535.
    """
    host, port = address
    if not 0 < port < 65536:
        raise ValueError(f"port must be in 1..65535, not {port}")
    return normalised_host(host), port


def normalised_host(host: str) -> str:
    """
    As `normalised`, without a port.

    :raise ValueError: it is no literal IP, or its scope no interface of this machine.
    """
    ip = ip_address(host)
    if isinstance(ip, IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip.scope_id is None or ip.scope_id.isdecimal():
        return str(ip)
    try:
        scope = socket.if_nametoindex(ip.scope_id)
    except OSError:
        raise ValueError(f"{host}: no interface is called {ip.scope_id}") from None
    return f"{IPv6Address(int(ip))}%{scope}"


def to_sockaddr(address: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    """
    What an IPv6 socket, be it dual-stack or not, wants for ``address``, which is `normalised`.
    """
    host, port = address
    if ":" not in host:
        return _MAPPED_PREFIX + host, port
    if "%" not in host:
        return address
    bare, _, scope = host.partition("%")
    return bare, port, 0, int(scope)


def from_sockaddr(sockaddr: tuple[str, int, int, int]) -> Address:
    """
    The address in what an IPv6 socket gives.
    """
    host, port, _, scope = sockaddr
    if host.startswith(_MAPPED_PREFIX):
        return host[len(_MAPPED_PREFIX) :], port
    return (f"{host}%{scope}", port) if scope else (host, port)
