"""
The UDP port of a manager: one socket for each IP version, or one for both.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EHOSTUNREACH,
    EINVAL,
    EMSGSIZE,
    ENETUNREACH,
    ENOBUFS,
    EPROTONOSUPPORT,
)
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from p2pnet.net.addresses import ALL_NODES, ANY_IPV4, ANY_IPV6, EVERYBODY, Binding
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address

_log: Final = Logger(__name__)
_TRIES: Final = 16
"""How often we look for a number that is free for IPv4 and IPv6 alike."""
_NO_SUCH_VERSION: Final = (EAFNOSUPPORT, EPROTONOSUPPORT)
UNREACHABLE: Final = (EHOSTUNREACH, ENETUNREACH)
"""What a socket says if a host or its network cannot be reached."""
NOWHERE: Final = "100::"
"""How addresses begin that are in no network (RFC 6666): what goes there goes through a relay."""


class Leg(Protocol):
    """
    One bound socket, however it is driven.
    """

    @property
    def version(self) -> int:
        """
        4 or 6.
        """

    @property
    def local_port(self) -> int:
        """
        The bound port.
        """

    @property
    def takes_runs(self) -> bool:
        """
        `send` takes more than one datagram at once.
        """

    def send(self, transmit: Transmit) -> None:
        """
        Put a datagram on the wire.

        :raise OSError: it did not go.
        """

    def close(self) -> Deferred[Any] | None:
        """
        Free the port.
        """


OpenLeg = Callable[[str, int, bool], Leg]
"""
Binds an address and port; the third argument asks for a dual-stack socket.  Raises
``twisted.internet.error.CannotListenError``.
"""


class UdpPort:
    """
    What a manager sends through.

    :param failed: takes the address that a datagram did not go to, and why.
    :param dropped: takes the reason why a datagram was dropped without a word.
    :ivar detour: takes what goes to `NOWHERE`, and says whether it took it; None without relays.
    """

    def __init__(
        self,
        failed: Callable[[Address | None, OSError], None],
        dropped: Callable[[str], None],
    ) -> None:
        self._failed = failed
        self._dropped = dropped
        self.detour: Callable[[Transmit], bool] | None = None
        self._ipv4: Leg | None = None
        self._ipv6: Leg | None = None

    def bind(self, binding: Binding, port: int, open_leg: OpenLeg) -> None:
        """
        Bind, all with the same port number.

        A machine without IPv6, or without IPv4, does with the other one unless an address of that
        version was asked for by name.

        :param port: 0 takes one that is free.
        :raise twisted.internet.error.CannotListenError: the port is taken, or not ours to take.
        """
        wanted = [address for address in (binding.ipv4, binding.ipv6) if address is not None]
        for tries in range(_TRIES, 0, -1):
            bound: list[Leg] = []
            absent: list[CannotListenError] = []
            try:
                for address in wanted:
                    number = bound[0].local_port if bound else port
                    try:
                        bound.append(open_leg(address, number, binding.dual))
                    except CannotListenError as error:
                        if not _is_absent(address, error):
                            raise
                        absent.append(error)
                if not bound:
                    raise absent[0]
            except CannotListenError as error:
                for leg in bound:
                    leg.close()
                taken = error.socketError.errno == EADDRINUSE
                if port == 0 and bound and taken and tries > 1:
                    continue
                raise
            break
        for missing in absent:
            _log.info("this machine is without one IP version: {error}", error=missing)
        for leg in bound:
            if leg.version == 4 or binding.dual:
                self._ipv4 = leg
            if leg.version == 6:
                self._ipv6 = leg
        _log.info(
            "UDP port {port} is open for {families}",
            port=self.local_port,
            families=" and ".join(self._families()),
            addresses=wanted,
        )

    @property
    def local_port(self) -> int:
        """
        The bound port; 0 if there is none.
        """
        leg = self._ipv4 or self._ipv6
        return 0 if leg is None else leg.local_port

    def everybody(self, port: int) -> list[Address]:
        """
        Where a broadcast to ``port`` goes: one address for each IP version that is bound (WIRE §7).
        """
        addresses = []
        if self._ipv4 is not None:
            addresses.append((EVERYBODY, port))
        if self._ipv6 is not None:
            addresses.append((ALL_NODES, port))
        return addresses

    def send(self, transmit: Transmit) -> bool:
        """
        Put a datagram, or a run of them, on the wire.

        :return: the socket took it, or some of the run.
        """
        address = transmit.address
        if transmit.segment_size:
            if self._send_run(transmit):
                return True
            # One by one, each meets its own fate.
            sent = [self.send(each) for each in transmit.split()]
            return any(sent)
        if self.detour is not None and address[0].startswith(NOWHERE):
            return self.detour(transmit)
        leg = self._ipv6 if ":" in address[0] else self._ipv4
        try:
            if leg is None:
                raise OSError(ENETUNREACH, "no socket of this IP version")
            leg.send(transmit)
        except BlockingIOError:
            # As good as lost on the way.
            self._dropped("send buffer full")
        except OSError as error:
            if error.errno == ENOBUFS:
                self._dropped("send buffer full")
            elif error.errno == EMSGSIZE:
                # That is what MTU discovery wants to know, and its probes get no answer.
                self._dropped("longer than the path takes")
            elif not address[1]:
                # Whoever pretended to write from there wants no answer.
                self._dropped("port 0")
            else:
                self._failed(address, error)
        except (OverflowError, ValueError) as error:
            # An address that came off the wire and is none for a socket.
            self._failed(address, OSError(EINVAL, str(error)))
        else:
            return True
        return False

    def _send_run(self, transmit: Transmit) -> bool:
        host = transmit.address[0]
        leg = self._ipv6 if ":" in host else self._ipv4
        if leg is None or not leg.takes_runs or host.startswith(NOWHERE):
            return False
        try:
            leg.send(transmit)
        except (OSError, OverflowError, ValueError):
            return False
        return True

    def send_beside(self, transmit: Transmit) -> None:
        """
        Put a datagram on the wire that is none of the engine's; one that does not go is counted,
        and nobody hears of it.
        """
        host = transmit.address[0]
        leg = self._ipv6 if ":" in host else self._ipv4
        try:
            if self.detour is not None and host.startswith(NOWHERE):
                self.detour(transmit)
                return
            if leg is None:
                raise OSError(ENETUNREACH, "no socket of this IP version")
            leg.send(transmit)
        except (OSError, OverflowError, ValueError):
            self._dropped("not sent beside the engine")

    def close(self) -> Deferred[Any]:
        """
        Free the port; fires when it is free.
        """
        legs = {id(leg): leg for leg in (self._ipv4, self._ipv6) if leg is not None}
        if legs:
            _log.info("UDP port {port} is closed", port=self.local_port)
        self._ipv4 = self._ipv6 = None
        return gatherResults([maybeDeferred(leg.close) for leg in legs.values()])

    def _families(self) -> list[str]:
        legs = {"IPv4": self._ipv4, "IPv6": self._ipv6}
        return [family for family, leg in legs.items() if leg is not None]


def _is_absent(address: str, error: CannotListenError) -> bool:
    """
    The machine has no such IP version, and nobody insisted on it.
    """
    code = error.socketError.errno
    return code in _NO_SUCH_VERSION or (code == EADDRNOTAVAIL and address in (ANY_IPV4, ANY_IPV6))
