"""
The relays of a manager, and what goes through them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.logger import Logger

from p2pnet.interfaces import IRelay, RelayFailed
from p2pnet.net.addresses import normalised
from p2pnet.net.driver import Pump
from p2pnet.net.lines import Line, TcpLine, UdpLine
from p2pnet.net.relay import Relay
from p2pnet.net.sharing import Receiver, is_taken
from p2pnet.net.udp import NOWHERE, UdpPort
from p2pnet.rudp.transmit import Transmit
from p2pnet.text import written
from p2pnet.turn.allocation import Allocation
from p2pnet.turn.server import TurnServer
from p2pnet.wire.constants import Address

MAX_RELAYS: Final = 8
"""At once.  One does; a second is to be had while the first goes."""


class Relays:
    """
    Opens relays, and joins them with the engine by addresses that are nowhere (RFC 6666).

    :param reactor: ``IReactorTime``, and ``IReactorTCP`` for relays over TCP.
    :param udp: our own port.
    :param driver: runs the engine.
    :param random: ``random(k)`` gives k unguessable bits.
    """

    log = Logger()

    def __init__(
        self, *, reactor: Any, udp: UdpPort, driver: Pump, random: Callable[[int], int]
    ) -> None:
        self._reactor = reactor
        self._udp = udp
        self._driver = driver
        self._random = random
        self._receivers: dict[Relay, Receiver] = {}
        self._routes: dict[Address, tuple[Relay, Address]] = {}
        """By the engine's address: through which relay, and to whom."""
        self._local: dict[tuple[Relay, Address], Address] = {}
        """The same the other way round."""
        self._last_route = 0
        udp.detour = self._transmit

    def __bool__(self) -> bool:
        return bool(self._receivers)

    def open(self, server: TurnServer, receiver: Receiver) -> Deferred[IRelay]:
        """
        See `INetManager.open_relay`.
        """
        try:
            return self._open(server, receiver)
        except (RelayFailed, ValueError) as error:
            # Who the server is has been told by somebody else: no fault of the caller's.
            return fail(RelayFailed(str(error)))

    def close(self, patience: float) -> Deferred[Any]:
        """
        Close all of them; fires when that is done, after ``patience`` seconds at most.
        """
        return gatherResults([relay.close_within(patience) for relay in [*self._receivers]])

    # ------------------------------------------------------------ inside

    def _open(self, server: TurnServer, receiver: Receiver) -> Deferred[IRelay]:
        address = normalised((server.host, server.port))
        if len(self._receivers) >= MAX_RELAYS:
            raise RelayFailed(f"{MAX_RELAYS} relays are in use already")
        if server.transport == "udp" and self._driver.shared.is_claimed(address):
            # The server tells its clients apart by their address and port.
            raise RelayFailed(f"there is a relay on {written(address)} already")
        allocate = partial(
            Allocation,
            server.username,
            server.password,
            random=self._random,
            transport=server.transport,
        )
        relay = Relay(
            server,
            allocate,
            reactor=self._reactor,
            clock=self._driver.clock,
            routed=self._route,
            deliver=self._deliver,
            dropped=self._driver.count_drop,
            ended=self._forget,
        )
        line: Line
        if server.transport == "udp":
            line = UdpLine(address, self._udp, self._driver.shared, relay.receive)
        else:
            line = TcpLine(address, self._reactor, relay.receive, relay.fail)
        self._receivers[relay] = receiver
        return relay.open(line)

    def _route(self, relay: Relay, remote: Address) -> Address:
        local = self._local.get((relay, remote))
        if local is None:
            # Never given twice: what is late for a route that is gone must not find another.
            self._last_route += 1
            local = str(IPv6Address(NOWHERE) + self._last_route), remote[1]
            self._local[relay, remote] = local
            self._routes[local] = relay, remote
        return local

    def _transmit(self, transmit: Transmit) -> bool:
        route = self._routes.get(transmit.address)
        if route is None:
            self._driver.count_drop("relay gone")
            return False
        relay, remote = route
        return relay.transmit(remote, transmit.data, transmit.may_fragment)

    def _deliver(self, relay: Relay, remote: Address, data: bytes) -> None:
        receiver = self._receivers.get(relay)
        if receiver is None:
            # It has been closed by what came a moment ago.
            self._driver.count_drop("relay gone")
            return
        if is_taken(receiver, data, remote):
            return
        local = self._local.get((relay, remote))
        if local is None:
            self._driver.count_drop("relayed without a route")
            return
        try:
            self._driver.receive_relayed(data, local)
        except Exception:
            # Out of here it would end a TCP connection.
            self.log.failure("a datagram could not be processed")

    def _forget(self, relay: Relay) -> None:
        del self._receivers[relay]
        for key in [key for key in self._local if key[0] is relay]:
            del self._routes[self._local.pop(key)]
