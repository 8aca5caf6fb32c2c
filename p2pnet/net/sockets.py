"""
A UDP socket of the operating system, without a reactor.
"""

from __future__ import annotations

import socket
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from errno import ECONNREFUSED, ECONNRESET, EINTR, EIO, EMSGSIZE
from struct import Struct, pack
from typing import Any, Final

from twisted.internet.error import CannotListenError

from p2pnet.net.addresses import ALL_NODES, from_sockaddr, normalised_host, to_sockaddr
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import FIONREAD

MAX_UDP_PAYLOAD: Final = 65507
"""Bytes; what one read takes, so that nothing is cut off."""
BUFFER_SIZE: Final = 1 << 20
"""
Bytes asked of the kernel in each direction, as LiteNetLib does (NetConstants.SocketBufferSize).
"""

Received = Callable[[bytes, Address], None]
"""Takes a datagram, and where it came from."""
Failed = Callable[[Address | None, OSError], None]
"""Takes what went wrong, and the address concerned if there is one."""

# <linux/in.h> and <linux/in6.h>; Python has no names for them.
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_DONT: Final = 0
_PMTUDISC_DO: Final = 2

_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
# <linux/udp.h>.
_SEGMENT: Final = Struct("@H")
_GRO: Final = Struct("@i")
_ANCILLARY: Final = socket.CMSG_SPACE(_GRO.size) if hasattr(socket, "CMSG_SPACE") else 0

_HARMLESS: Final = (EINTR, ECONNREFUSED, ECONNRESET, EMSGSIZE)
"""What a read may fail with because of one remote, or one datagram (BEHAVIOUR §15)."""


class UdpSocket:
    """
    One bound, non-blocking socket that lets nobody fragment what it sends, where Linux says how.

    :param interface: a literal address of this machine.
    :param dual: an IPv6 socket that takes IPv4 as well; its IPv4 peers have IPv4 addresses.
    :param reuse_address: share the port with whoever says the same.
    :ivar version: 4 or 6.
    :raise twisted.internet.error.CannotListenError: the port is taken, the machine has no such
        address, or no such IP version.
    """

    def __init__(
        self, interface: str, port: int, *, dual: bool = False, reuse_address: bool = False
    ) -> None:
        self.version = 6 if ":" in interface else 4
        self.dual = dual
        family = socket.AF_INET6 if self.version == 6 else socket.AF_INET
        try:
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self._set_up(reuse_address)
                name = normalised_host(interface)
                local = (name, port)
                self._socket.bind(local if self.version == 4 else to_sockaddr(local))
            except OSError:
                self._socket.close()
                raise
        except OSError as error:
            raise CannotListenError(interface, port, error) from error
        self.local_port: int = self._socket.getsockname()[1]
        self.takes_runs = self._can(_UDP_SEGMENT, 0)
        """The kernel takes runs of datagrams at once (UDP GSO)."""
        self._gives_runs = self._can(_UDP_GRO, 1)
        self._next_size = array("i", [0])
        # Nobody may have a network to join the group on (PITFALLS D25).
        if self.version == 6:
            with suppress(OSError):
                group = socket.inet_pton(socket.AF_INET6, ALL_NODES) + pack("@I", 0)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)

    def _set_up(self, reuse_address: bool) -> None:
        sock = self._socket
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_SIZE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse_address)
        if self.version == 4 or self.dual:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if self.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not self.dual)
        self._discover_mtu(_PMTUDISC_DO)

    def _can(self, option: int, value: int) -> bool:
        """
        Set an option that not every kernel has.
        """
        if sys.platform != "linux":
            return False
        try:
            self._socket.setsockopt(socket.IPPROTO_UDP, option, value)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        """
        The operating system's number for it; -1 once closed.
        """
        return self._socket.fileno()

    def close(self) -> None:
        """
        Free the port.
        """
        self._socket.close()

    # ------------------------------------------------------------ sending

    def send(self, transmit: Transmit) -> None:
        """
        Put a datagram on the wire, or a run of them if `takes_runs`.

        :raise OSError: BlockingIOError if the kernel's buffer is full; EMSGSIZE if the datagram is
            longer than the path takes in one piece, as far as the kernel knows.  Of a run that
            raises nothing has left.
        """
        address = transmit.address if self.version == 4 else to_sockaddr(transmit.address)
        if transmit.segment_size:
            self._send_run(transmit, address)
            return
        if transmit.ttl is None and not transmit.may_fragment:
            self._socket.sendto(transmit.data, address)
            return
        # Nobody else sends meanwhile: there is one thread (PITFALLS D22).
        hops = self._hop_options(":" in transmit.address[0])
        usual = self._socket.getsockopt(*hops)
        if transmit.ttl is not None:
            self._socket.setsockopt(*hops, transmit.ttl)
        if transmit.may_fragment:
            self._discover_mtu(_PMTUDISC_DONT)
        try:
            self._socket.sendto(transmit.data, address)
        finally:
            self._discover_mtu(_PMTUDISC_DO)
            self._socket.setsockopt(*hops, usual)

    def _send_run(self, transmit: Transmit, address: Any) -> None:
        size = _SEGMENT.pack(transmit.segment_size)
        try:
            self._socket.sendmsg(
                [transmit.data], [(socket.IPPROTO_UDP, _UDP_SEGMENT, size)], 0, address
            )
        except OSError as error:
            if error.errno == EIO:
                # The way out is a device without checksums of its own, which splitting needs.
                self.takes_runs = False
            raise

    def _hop_options(self, ipv6: bool) -> tuple[int, int]:
        if ipv6:
            return socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS
        return socket.IPPROTO_IP, socket.IP_TTL

    def _discover_mtu(self, how: int) -> None:
        if sys.platform != "linux":
            return
        if self.version == 4 or self.dual:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, how)
        if self.version == 6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, how)

    # ------------------------------------------------------------ receiving

    def drain(
        self, limit: int, received: Received, failed: Failed, watched: bool = False
    ) -> bool:
        """
        Read until there is nothing left, or ``limit`` times, or somebody told has closed us.

        An empty datagram is a datagram (PITFALLS B8).

        :param watched: who calls does so again at once if something is left.
        :return: there is nothing left, as far as is known.
        """
        receive = self._socket.recvmsg if self._gives_runs else self._read_one
        is_ipv4 = self.version == 4
        source: Any
        for count in range(limit):
            if watched and count == 1 and self._seems_empty():
                return True
            try:
                data, ancillary, _, source = receive(MAX_UDP_PAYLOAD, _ANCILLARY)
            except BlockingIOError:
                return True
            except OSError as error:
                if self._socket.fileno() < 0:
                    return True
                if error.errno not in _HARMLESS:
                    failed(None, error)
                    return True
                continue
            if not is_ipv4:
                source = from_sockaddr(source)
            if not ancillary:
                received(data, source)
                continue
            # The kernel has put together equally long datagrams of one sender, and says how long.
            size = _GRO.unpack(ancillary[0][2])[0]
            for start in range(0, len(data), size):
                received(data[start : start + size], source)
        return False

    def _seems_empty(self) -> bool:
        """
        Another read would give nothing, or an empty datagram: to ask takes a third of the time of
        a read that fails, and most datagrams come alone.
        """
        descriptor = self._socket.fileno()
        if sys.platform != "linux" or descriptor < 0:
            return descriptor < 0
        ioctl(descriptor, FIONREAD, self._next_size)
        return not self._next_size[0]

    def _read_one(self, size: int, _: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        data, source = self._socket.recvfrom(size)
        return data, [], 0, source
