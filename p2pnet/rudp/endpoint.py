"""
Every connection behind one UDP port.  Performs no I/O and reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2pnet.rudp.admission import Admission
from p2pnet.rudp.config import EndpointConfig, Surroundings
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import ConnectionState, DisconnectReason, Event
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.output import Output
from p2pnet.rudp.punch import Introductions
from p2pnet.rudp.receiving import OF_OPEN_CONNECTIONS, receive
from p2pnet.rudp.roster import Roster
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.strangers import Strangers
from p2pnet.rudp.time_requests import TimeRequests
from p2pnet.rudp.transmit import Transmit, in_runs
from p2pnet.wire.constants import CONNECTION_NUMBER_SHIFT, PROTOCOL_ID, Address, DeliveryMethod
from p2pnet.wire.control import ConnectAccept, ConnectRequest, InvalidProtocol
from p2pnet.wire.header import MalformedPacket, verify
from p2pnet.wire.layers import PacketLayer
from p2pnet.wire.sockaddr import canonical

_CONNECTED: Final = ConnectionState.CONNECTED
# Of `PacketProperty`, for where there is no time to look them up.
_CONNECT_REQUEST: Final = 5
_CONNECT_ACCEPT: Final = 6
_UNCONNECTED_MESSAGE: Final = 8
_BROADCAST: Final = 11
_NAT_MESSAGE: Final = 16
_MAX_LAYER_OVERHEAD: Final = 256
"""What is left of the smallest datagram is still of some use."""


class Endpoint:
    """
    All connections behind one UDP port.

    :param config: see there.
    :param epoch: .NET ticks when ``now`` is 0; with ``now`` they make the timestamps on the wire.
    :param random: ``random(k)`` gives k unguessable bits as an int.
    :param layer: what transforms every datagram, or None.
    :param last_connection_time: the `last_connection_time` of an Endpoint that had this port before
        in this process: whoever knows that one takes no older connection for a new one.
    :raise ValueError: the layer's overhead leaves no room for messages.

    :ivar statistics: counters of the port, connections included.

    ``now`` is in seconds on a clock that never goes back.  After any call, whatever there is to
    send, to tell and to wait for is in `datagrams_to_send`, `events` and `next_timeout`.  Nothing
    that arrives makes an exception: it is counted in `NetStatistics.dropped`.  What does come out
    of `receive_datagram` or `datagrams_to_send` was raised by the layer: a bug of its author, who
    must see it.  The datagrams concerned are lost as if on the way, and all else goes on.
    """

    def __init__(
        self,
        config: EndpointConfig,
        *,
        epoch: int,
        random: Callable[[int], int],
        layer: PacketLayer | None = None,
        last_connection_time: int = 0,
    ) -> None:
        self.statistics = NetStatistics()
        self._layer = layer
        overhead = 0 if layer is None else layer.overhead
        _check_overhead(overhead)
        surroundings = Surroundings(config, epoch, overhead, self.statistics)
        self._output = Output()
        self._roster = Roster(config.max_closing, self._output)
        self._dirty = self._roster.dirty
        """Of the roster; needed for each datagram and each message."""
        self._admission = Admission(
            surroundings, self._roster, self._output, random, last_connection_time
        )
        self._strangers = Strangers(config, self._output, self.statistics)
        self._introductions = Introductions(config)
        self._time_requests = TimeRequests(epoch, random)
        self._asked_for_time = self._time_requests.asked

    @property
    def config(self) -> EndpointConfig:
        """
        The options; one that is set later holds for connections and requests from then on.
        """
        return self._admission.surroundings.config

    @config.setter
    def config(self, config: EndpointConfig) -> None:
        self._admission.configure(config)
        self._roster.max_closing = config.max_closing
        self._strangers.config = config
        self._introductions.configure(config)

    @property
    def last_connection_time(self) -> int:
        """
        The latest time that a connection of ours was given, in .NET ticks.
        """
        return self._admission.times.last

    # ------------------------------------------------------------ what happened outside

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """
        Take one datagram from the socket.

        :param address: the sender, as `p2pnet.wire.sockaddr.canonical` spells it.
        """
        statistics = self.statistics
        statistics.packets_received += 1
        statistics.bytes_received += len(data)
        roster = self._roster
        connection = roster.here.get(address)
        if connection is None:
            connection = roster.former.get(address)
        if connection is not None:
            connection.count_received(len(data))
            self._dirty[connection] = None
        try:
            if self._asked_for_time and address in self._asked_for_time:
                self._output.events.append(self._time_requests.receive(data, address, now))
                return
            if self._layer is not None:
                packet = self._layer.inbound(data)
                if packet is None:
                    self._drop("packet layer", connection)
                    return
                data = packet
            prop = verify(data)
            if (
                connection is not None
                and OF_OPEN_CONNECTIONS[prop]
                and connection.state is _CONNECTED
                and data[0] >> CONNECTION_NUMBER_SHIFT & 3 == connection.number
            ):
                self._output.events += receive(connection, data, now)
                if connection.state is not _CONNECTED:
                    roster.retire(connection, now)
            elif prop == _CONNECT_REQUEST:
                # Whatever stands behind another protocol id is not ours to read (WIRE §2.1).
                if ConnectRequest.protocol_of(data) == PROTOCOL_ID:
                    self._admission.receive_request(data, connection, address, now)
                else:
                    self._strangers.reply(address, InvalidProtocol().encode(), now)
            elif prop == _NAT_MESSAGE:
                if self.config.nat_punch_enabled:
                    self._output.events += self._introductions.receive(data[1:], address, now)
                else:
                    statistics.count_drop("NAT punch disabled")
            elif connection is None or prop in (_UNCONNECTED_MESSAGE, _BROADCAST):
                self._strangers.receive(prop, data, address, now)
            elif prop == _CONNECT_ACCEPT:
                self._admission.receive_accept(ConnectAccept.decode(data), connection, now)
            else:
                roster.receive(prop, data, connection, address, now)
        except MalformedPacket:
            self._drop("malformed", connection)

    def handle_timeout(self, now: float) -> None:
        """
        Do what is due; harmless if called too early.
        """
        roster = self._roster
        for connection in roster.deadlines.due(now):
            self._dirty[connection] = None
            self._output.events += connection.handle_timeout(now)
            challenge = connection.unanswered_challenge(now)
            if challenge is not None:
                self._admission.receive_challenger(challenge, connection, now)
            if connection.is_forgotten(now):
                roster.forget(connection)
        if self._admission.requests:
            self._admission.requests.expire(now)
        if self._asked_for_time:
            self._output.events += self._time_requests.handle_timeout(now)

    # ------------------------------------------------------------ what is to be done outside

    def datagrams_to_send(self, now: float) -> list[Transmit]:
        """
        What wants sending now; all of it, unless `has_more` says that there is more.
        """
        roster, output = self._roster, self._output
        while self._dirty:
            for connection in roster.take_dirty():
                roster.poll(connection, now)
                roster.deadlines.watch(connection)
            if output.transmits:
                break
        transmits = output.transmits
        output.transmits = []
        layer = self._layer
        if layer is not None:
            transmits = [_through(layer, each) for each in transmits]
        if self._introductions:
            punches = self._introductions.poll(now)
            if layer is not None and self.config.nat_through_layer:
                punches = [_through(layer, each) for each in punches]
            transmits += punches
        if self._asked_for_time:
            transmits += self._time_requests.poll(now)
        if len(transmits) > 1:
            transmits = in_runs(transmits)
        statistics, here, former = self.statistics, roster.here, roster.former
        for transmit in transmits:
            size = len(transmit.data)
            datagrams = transmit.datagrams if transmit.segment_size else 1
            statistics.packets_sent += datagrams
            statistics.bytes_sent += size
            remote = here.get(transmit.address)
            if remote is None:
                remote = former.get(transmit.address)
            if remote is not None:
                remote.count_sent(size, datagrams)
        return transmits

    @property
    def has_more(self) -> bool:
        """
        `datagrams_to_send` has left some connections for its next call: it asks few at a time, so
        that the first of a thousand need not wait for the last.
        """
        return bool(self._dirty)

    def events(self) -> list[Event]:
        """
        What the application may want to know, in order; each is given once.
        """
        events = self._output.events
        self._output.events = []
        return events

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` is to be called; None: never.  Valid after `datagrams_to_send`.
        """
        deadline = self._roster.deadlines.next()
        if self._admission.requests:
            deadline = _earlier(deadline, self._admission.requests.next_timeout())
        if self._introductions:
            deadline = _earlier(deadline, self._introductions.next_timeout())
        if self._asked_for_time:
            deadline = _earlier(deadline, self._time_requests.next_timeout())
        return deadline

    # ------------------------------------------------------------ commands: connections

    def connect(
        self, address: Address, data: bytes, now: float, *, peer_to_peer: bool = False
    ) -> Connection:
        """
        Ask ``address`` for a connection; an open or opening one is returned as it is.

        :param peer_to_peer: the remote may dial us while we dial it (BEHAVIOUR §3.3).
        :raise MessageTooLarge: ``data`` does not fit a datagram.
        :raise ValueError: ``address`` is not a literal IP and a port.
        """
        return self._admission.connect(canonical(address), data, now, peer_to_peer)

    def is_pending(self, request: IncomingRequest) -> bool:
        """
        The request can be decided: it has not expired nor been replaced by a newer one.
        """
        return self._admission.requests.get(request.address) is request

    def accept(self, request: IncomingRequest, now: float) -> Connection:
        """
        Let in who asked.  An older connection with that address ends now, not before.

        :raise RudpError: the request has expired, or was decided before.
        """
        return self._admission.accept(request, now)

    def reject(self, request: IncomingRequest, data: bytes, now: float) -> None:
        """
        Turn down who asked, and again if they ask again.

        :raise RudpError: the request has expired, or was decided before.
        :raise MessageTooLarge: ``data`` does not fit; the request stays undecided.
        """
        self._admission.reject(request, data, now)

    def reject_force(self, request: IncomingRequest, data: bytes) -> None:
        """
        Turn down who asked, once; without data nothing is sent.

        If they ask again, which they do if they heard nothing, they are not heard (PITFALLS D10).

        :raise RudpError: the request has expired, or was decided before.
        :raise MessageTooLarge: over 498 bytes of data; the request stays undecided.
        """
        self._admission.reject_force(request, data)

    def send(
        self,
        connection: Connection,
        data: bytes,
        method: DeliveryMethod,
        channel: int = 0,
        user_data: Any = None,
    ) -> None:
        """
        Queue one message.  Raises as `Connection.send`.
        """
        connection.send(data, method, channel, user_data)
        self._dirty[connection] = None

    def move(self, connection: Connection, address: Address, now: float) -> None:
        """
        Reach a peer at another address from now on, where it has proven to be.

        What comes from where it was before is still taken, until the connection is forgotten or has
        moved eight times more.

        :raise NotConnected: it is not in state CONNECTED.
        :raise RudpError: there is another connection with that address.
        :raise ValueError: ``address`` is not a literal IP and a port.
        """
        address = canonical(address)
        if self._roster.move(connection, address, now):
            # Who asked from there is the peer itself, which has no need of a second connection.
            self._admission.forget(address)

    def disconnect(self, connection: Connection, data: bytes, now: float) -> None:
        """
        Close, telling the other side.  Raises as `Connection.disconnect`.
        """
        self._roster.disconnect(connection, data, now)

    def unreachable(self, address: Address, now: float, *, network: bool) -> None:
        """
        The socket says that a host, or its whole network, cannot be reached.

        Anybody can make it say so (TRAPS T20), so it ends a connection only if the configuration
        asks for that.  Where a peer was before it moved is of no interest.
        """
        connection = self._roster.here.get(address)
        if connection is not None and self.config.disconnect_on_unreachable:
            reason = (
                DisconnectReason.NETWORK_UNREACHABLE
                if network
                else DisconnectReason.HOST_UNREACHABLE
            )
            self._roster.close(connection, reason, b"", now)

    def hold(self, connection: Connection, held: bool) -> None:
        """
        Take no messages from a peer for a while, or take them again: its reliable ones come again
        (PITFALLS B3).
        """
        connection.inbox.held = held

    def disconnect_force(self, connection: Connection, now: float) -> None:
        """
        Close without telling anybody.
        """
        self._roster.close(connection, DisconnectReason.DISCONNECT_PEER_CALLED, b"", now)

    @property
    def has_goodbyes(self) -> bool:
        """
        Some peer has not yet confirmed our disconnect.
        """
        return self._roster.has_goodbyes

    # ------------------------------------------------------------ commands: without connection

    def send_unconnected(self, address: Address, data: bytes) -> None:
        """
        Send one datagram to somebody without a connection.

        :raise MessageTooLarge: no reference peer could read it.
        :raise ValueError: ``address`` is not a literal IP and a port.
        """
        self._strangers.send_message(address, data)

    def send_broadcast(self, address: Address, data: bytes) -> None:
        """
        Send one datagram to everybody behind a broadcast or multicast address.

        :raise MessageTooLarge: no reference peer could read it.
        :raise ValueError: ``address`` is not a literal IP and a port.
        """
        self._strangers.send_broadcast(address, data)

    def request_time(self, address: Address, now: float) -> None:
        """
        Ask an NTP server; `NtpResponseReceived` or `NtpFailed` tells.

        :raise ValueError: it is being asked already, or is not a literal IP and a port.
        """
        self._time_requests.request(canonical(address), now)

    @property
    def introductions(self) -> Introductions:
        """
        The NAT module's state and commands without datagrams of their own.
        """
        return self._introductions

    def request_introduction(
        self, facilitator: Address, token: str, internal: Address, now: float
    ) -> None:
        """
        Ask to be introduced to whoever else names ``token``; trusts and expects both.

        :param internal: our own address inside our network.
        :raise ValueError: ``token`` is too long, or ``facilitator`` is not a literal IP and a port.
        """
        self._introductions.request(facilitator, token, internal, now)

    # ------------------------------------------------------------ inside

    def _drop(self, reason: str, connection: Connection | None) -> None:
        # What a connection drops counts in the endpoint's statistics, too.
        statistics = self.statistics if connection is None else connection.statistics
        statistics.count_drop(reason)


def _through(layer: PacketLayer, transmit: Transmit) -> Transmit:
    data = layer.outbound(transmit.data)
    return Transmit(transmit.address, data, transmit.ttl, transmit.may_fragment)


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _check_overhead(overhead: int) -> None:
    if not 0 <= overhead <= _MAX_LAYER_OVERHEAD:
        raise ValueError(f"layer.overhead must be in 0..{_MAX_LAYER_OVERHEAD}, not {overhead}")
