"""
Who becomes a connection: whom we dial, and who asks and is let in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from p2pnet.rudp import opening
from p2pnet.rudp.allowance import Allowance
from p2pnet.rudp.challenge import Challenge
from p2pnet.rudp.config import EndpointConfig, Surroundings
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.connection_times import ConnectionTimes
from p2pnet.rudp.errors import MessageTooLarge, RudpError
from p2pnet.rudp.events import (
    ConnectionRequested,
    ConnectionState,
    DisconnectReason,
    PeerConnected,
)
from p2pnet.rudp.handshake import IncomingRequest, PendingRequests, number_for
from p2pnet.rudp.output import Output
from p2pnet.rudp.roster import Roster
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import CONNECTION_NUMBERS, Address
from p2pnet.wire.control import ConnectAccept, ConnectRequest, Disconnect

_MAX_FORCED_REJECT_DATA: Final = 498
"""RejectForce makes a datagram below 508 bytes (WIRE §9)."""


class Admission:
    """
    From requests to connections, in both directions.

    Its commands are those of `p2pnet.rudp.endpoint.Endpoint`, and raise as they do.

    :param roster: takes the connections.
    :param output: takes what there is to send and to tell besides.
    :ivar surroundings: for connections from now on.
    :ivar requests: who waits for a decision of the application.
    :ivar times: the times of connections that we dial.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        roster: Roster,
        output: Output,
        random: Callable[[int], int],
        last_connection_time: int,
    ) -> None:
        self.surroundings = surroundings
        self.requests = PendingRequests(surroundings.config)
        self.times = ConnectionTimes(surroundings.epoch, random, last_connection_time)
        self._roster = roster
        self._output = output
        self._random = random

    def configure(self, config: EndpointConfig) -> None:
        """
        Take other options for connections and requests from now on.
        """
        self.surroundings = replace(self.surroundings, config=config)
        self.requests.configure(config)

    # ------------------------------------------------------------ commands

    def connect(
        self, address: Address, data: bytes, now: float, peer_to_peer: bool
    ) -> Connection:
        """
        Ask ``address`` for a connection.
        """
        old = self._roster.at(address)
        if old is not None and old.state in (
            ConnectionState.OUTGOING,
            ConnectionState.CONNECTED,
        ):
            return old
        # A request from there that waits for an answer is no obstacle, or anybody could make one
        # (PITFALLS B2); if it is accepted, our own attempt gives way.
        number = 0 if old is None else (old.number + 1) % CONNECTION_NUMBERS
        time = self.times.next(now, after=old)
        connection = opening.dial(address, time, number, data, self.surroundings, now)
        connection.opens_peer_to_peer = peer_to_peer
        self._roster.add(connection, now)
        return connection

    def accept(self, request: IncomingRequest, now: float) -> Connection:
        """
        Let in who asked.
        """
        self._take(request)
        old = self._roster.at(request.address)
        if old is not None and old.state is ConnectionState.OUTGOING:
            self._roster.close(old, DisconnectReason.PEER_TO_PEER_CONNECTION, b"", now)
        elif old is not None and old.state is ConnectionState.CONNECTED:
            self._roster.close(old, DisconnectReason.RECONNECT, b"", now)
        # A fresh reference peer answers 1..16383 only (WIRE §5).
        first_ping = 1 + self._random(14) % 16383
        connection = opening.accept(request, first_ping, self.surroundings, now)
        self._roster.add(connection, now)
        self._output.events.append(PeerConnected(connection))
        return connection

    def reject(self, request: IncomingRequest, data: bytes, now: float) -> None:
        """
        Turn down who asked, and again if they ask again.
        """
        old = self._roster.at(request.address)
        if old is not None and old.state in (
            ConnectionState.OUTGOING,
            ConnectionState.CONNECTED,
        ):
            # What we have with that address is none of the refused one's business (PITFALLS C2).
            self.reject_force(request, data)
            return
        refusal = opening.refuse(request, data, self.surroundings, now)
        self._take(request)
        self._roster.add(refusal, now)
        self._roster.retire(refusal, now)

    def reject_force(self, request: IncomingRequest, data: bytes) -> None:
        """
        Turn down who asked, once.
        """
        if len(data) > _MAX_FORCED_REJECT_DATA:
            raise MessageTooLarge(
                f"{len(data)} bytes with a forced reject; {_MAX_FORCED_REJECT_DATA} are allowed"
            )
        self._take(request)
        self.requests.refuse(request)
        if data:
            refusal = Disconnect(request.number, request.time, data).encode()
            limit = self.surroundings.config.amplification_limit
            if Allowance(limit, request.received_bytes).spend(len(refusal)):
                self._output.transmits.append(Transmit(request.address, refusal))
            else:
                self._drop("forced reject over the amplification limit")

    def _take(self, request: IncomingRequest) -> None:
        if not self.requests.remove(request):
            raise RudpError(f"the request from {request.address} has expired or is decided")

    # ------------------------------------------------------------ what has come

    def receive_request(
        self, data: bytes, connection: Connection | None, address: Address, now: float
    ) -> None:
        """
        Take a ConnectRequest of our protocol.

        :param connection: who is or was at ``address``.
        :raise MalformedPacket: the packet contradicts itself.
        """
        request = ConnectRequest.decode(data)
        size = len(data)
        number = request.connection_number
        if connection is not None:
            answer = number_for(request, connection, self.times.latest(now))
            if answer is None:
                connection.statistics.count_drop("superseded request")
                if request.connection_time == connection.connection_time:
                    repeated = connection.repeat_answer(now)
                    if repeated is not None:
                        # Not to where we have moved: who still asks does not listen there.
                        self._output.transmits.append(Transmit(address, repeated))
                return
            number = answer
            connection.discount(size)
            if (
                connection.state is ConnectionState.CONNECTED
                and self.surroundings.config.amplification_limit > 0
            ):
                connection.challenge(request, size, address, now)
                return
        self._hold(request, size, address, number, now)

    def receive_accept(
        self, packet: ConnectAccept, connection: Connection, now: float
    ) -> None:
        """
        Take a ConnectAccept.
        """
        opened = connection.accepted(packet, now)
        if opened:
            # Who lets us in has given up its own request, or will ask again: accepted after this
            # it would make a connection that only we know of.
            self.forget(connection.address)
        self._output.events += opened

    def receive_challenger(
        self, challenge: Challenge, connection: Connection, now: float
    ) -> None:
        """
        Take the request of a newcomer whose challenge our peer has not answered.
        """
        number = (connection.number + 1) % CONNECTION_NUMBERS
        self._hold(challenge.request, challenge.size, challenge.address, number, now)

    def forget(self, address: Address) -> None:
        """
        The request from there, if there is one, needs no decision any more.
        """
        pending = self.requests.get(address)
        if pending is not None:
            self.requests.remove(pending)

    def _hold(
        self, request: ConnectRequest, size: int, address: Address, number: int, now: float
    ) -> None:
        if self.requests.is_refused(address, request.connection_time, now):
            self._drop("refused request")
            return
        pending = self.requests.get(address)
        if pending is not None and request.connection_time <= pending.time:
            if request.connection_time == pending.time:
                pending.received_bytes += size
            return
        # A newer request replaces the older one whole: who is let in must be who asked
        # (PITFALLS D11).
        pending = self.requests.add(address, request, number, size, now)
        if pending is None:
            self._drop("too many requests")
        else:
            self._output.events.append(ConnectionRequested(pending))

    def _drop(self, reason: str) -> None:
        self.surroundings.total.count_drop(reason)
