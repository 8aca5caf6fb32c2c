"""
Every connection behind one UDP port.  Performs no I/O and reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from p2pnet.rudp.allowance import Allowance
from p2pnet.rudp.config import EndpointConfig, Surroundings
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.deadlines import Deadlines
from p2pnet.rudp.errors import MessageTooLarge, NotConnected, RudpError
from p2pnet.rudp.events import (
    ConnectionRequested,
    ConnectionState,
    DisconnectInfo,
    DisconnectReason,
    Event,
    PeerConnected,
    UnconnectedMessageType,
    UnconnectedReceived,
)
from p2pnet.rudp.handshake import IncomingRequest, PendingRequests, number_for
from p2pnet.rudp.punch import Introductions
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.time_requests import TimeRequests
from p2pnet.rudp.token_bucket import TokenBucket
from p2pnet.rudp.transmit import Transmit, in_runs
from p2pnet.wire.constants import (
    CONNECTION_NUMBER_SHIFT,
    CONNECTION_NUMBERS,
    MAX_DATAGRAM_SIZE,
    PROTOCOL_ID,
    TICKS_PER_SECOND,
    Address,
    DeliveryMethod,
    PacketProperty,
)
from p2pnet.wire.control import (
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    InvalidProtocol,
    PeerNotFound,
    ShutdownOk,
)
from p2pnet.wire.header import MalformedPacket, verify
from p2pnet.wire.layers import PacketLayer
from p2pnet.wire.packets import Broadcast, UnconnectedMessage
from p2pnet.wire.sockaddr import canonical

_RANDOM_TIME_BITS: Final = 20
"""About 100 ms of a connection time: nobody can tell it from the clock (PITFALLS C6)."""
_FARTHEST_TIME: Final = 86_400 * TICKS_PER_SECOND
"""How far ahead of our clock another one can be (PITFALLS C9)."""
_MAX_FORCED_REJECT_DATA: Final = 498
"""RejectForce makes a datagram below 508 bytes (WIRE §9)."""
_MAX_FORMER_ADDRESSES: Final = 8
"""Of one connection; more paths than two at once are not in use."""
_CONNECTED: Final = ConnectionState.CONNECTED
_OF_CONNECTIONS: Final = bytes(
    property
    in (
        PacketProperty.UNRELIABLE,
        PacketProperty.CHANNELED,
        PacketProperty.ACK,
        PacketProperty.PING,
        PacketProperty.PONG,
        PacketProperty.MTU_CHECK,
        PacketProperty.MTU_OK,
        PacketProperty.MERGED,
        PacketProperty.EMPTY,
    )
    for property in PacketProperty
)
"""By number: 1 if a `Connection` takes it itself."""
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
        self._surroundings = Surroundings(config, epoch, overhead, self.statistics)
        self._random = random
        self._connections: dict[Address, Connection] = {}
        self._former: dict[Address, Connection] = {}
        """Who was at an address before it moved; whoever is there now goes first."""
        self._requests = PendingRequests(config)
        self._introductions = Introductions(config)
        self._time_requests = TimeRequests(epoch, random)
        self._stray_replies = TokenBucket(config.stray_replies_per_second)
        self.last_connection_time = last_connection_time
        self._transmits: list[Transmit] = []
        self._events: list[Event] = []
        self._dirty: dict[Connection, None] = {}
        """Connections that may have something to send, in the order they got it."""
        self._closed: dict[Connection, None] = {}
        """Closing and closed connections, oldest first."""
        self._deadlines = Deadlines()

    @property
    def config(self) -> EndpointConfig:
        """
        The options; one that is set later holds for connections and requests from then on.
        """
        return self._surroundings.config

    @config.setter
    def config(self, config: EndpointConfig) -> None:
        self._surroundings = replace(self._surroundings, config=config)
        self._requests.configure(config)
        self._introductions.configure(config)

    # ------------------------------------------------------------ what happened outside

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """
        Take one datagram from the socket.

        :param address: the sender, as `p2pnet.wire.sockaddr.canonical` spells it.
        """
        statistics = self.statistics
        statistics.packets_received += 1
        statistics.bytes_received += len(data)
        connection = self._connections.get(address)
        if connection is None:
            connection = self._former.get(address)
        if connection is not None:
            connection.count_received(len(data))
            self._dirty[connection] = None
        try:
            if self._time_requests and self._time_requests.is_asked(address):
                self._events.append(self._time_requests.receive(data, address, now))
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
                and _OF_CONNECTIONS[prop]
                and connection.state is _CONNECTED
                and data[0] >> CONNECTION_NUMBER_SHIFT & 3 == connection.number
            ):
                self._events += connection.receive(data, now)
                if connection.state is not _CONNECTED:
                    self._remember_closed(connection, now)
                return
            match prop:
                case PacketProperty.CONNECT_REQUEST:
                    self._receive_request(data, connection, address, now)
                case PacketProperty.CONNECT_ACCEPT:
                    if connection is not None:
                        self._receive_accept(ConnectAccept.decode(data), connection, now)
                case PacketProperty.DISCONNECT:
                    self._receive_disconnect(Disconnect.decode(data), connection, address, now)
                case PacketProperty.PEER_NOT_FOUND:
                    self._receive_peer_not_found(data, connection, address, now)
                case PacketProperty.INVALID_PROTOCOL:
                    if connection is not None:
                        self._events += connection.doubt_protocol(now)
                case PacketProperty.UNCONNECTED_MESSAGE:
                    if self.config.unconnected_messages_enabled:
                        self._unconnected(address, data, UnconnectedMessageType.BASIC_MESSAGE)
                    else:
                        self.statistics.count_drop("unconnected messages disabled")
                case PacketProperty.BROADCAST:
                    if self.config.broadcast_receive_enabled:
                        self._unconnected(address, data, UnconnectedMessageType.BROADCAST)
                    else:
                        self.statistics.count_drop("broadcasts disabled")
                case PacketProperty.NAT_MESSAGE:
                    self._receive_nat(data, address, now)
                case _:
                    self._receive_of_none(prop, connection, address, now)
        except MalformedPacket:
            self._drop("malformed", connection)

    def handle_timeout(self, now: float) -> None:
        """
        Do what is due; harmless if called too early.
        """
        for connection in self._deadlines.due(now):
            self._dirty[connection] = None
            if connection.next_timeout() <= now:
                self._events += connection.handle_timeout(now)
                challenger = connection.unanswered_challenge(now)
                if challenger is not None:
                    number = (connection.number + 1) % CONNECTION_NUMBERS
                    self._hold_request(*challenger, number, now)
                if connection.is_forgotten(now):
                    self._forget(connection)
        if self._requests:
            self._requests.expire(now)
        if self._time_requests:
            self._events += self._time_requests.handle_timeout(now)

    # ------------------------------------------------------------ what is to be done outside

    def datagrams_to_send(self, now: float) -> list[Transmit]:
        """
        Everything that wants sending now.
        """
        if self._dirty:
            dirty = self._dirty
            self._dirty = {}
            for connection in dirty:
                self._poll(connection, now)
                self._deadlines.watch(connection)
        transmits = self._transmits
        self._transmits = []
        layer = self._layer
        if layer is not None:
            transmits = [_through(layer, each) for each in transmits]
        if self._introductions:
            punches = self._introductions.poll(now)
            if layer is not None and self.config.nat_through_layer:
                punches = [_through(layer, each) for each in punches]
            transmits += punches
        if self._time_requests:
            transmits += self._time_requests.poll(now)
        transmits = in_runs(transmits)
        statistics = self.statistics
        for transmit in transmits:
            size, datagrams = len(transmit.data), transmit.datagrams
            statistics.packets_sent += datagrams
            statistics.bytes_sent += size
            remote = self._connections.get(transmit.address)
            if remote is None:
                remote = self._former.get(transmit.address)
            if remote is not None:
                remote.count_sent(size, datagrams)
        return transmits

    def events(self) -> list[Event]:
        """
        What the application may want to know, in order; each is given once.
        """
        events = self._events
        self._events = []
        return events

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` is to be called; None: never.  Valid after `datagrams_to_send`.
        """
        due = [self._deadlines.next()]
        if self._requests:
            due.append(self._requests.next_timeout())
        if self._introductions:
            due.append(self._introductions.next_timeout())
        if self._time_requests:
            due.append(self._time_requests.next_timeout())
        return min([deadline for deadline in due if deadline is not None], default=None)

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
        address = canonical(address)
        old = self._at(address)
        if old is not None and old.state in (
            ConnectionState.OUTGOING,
            ConnectionState.CONNECTED,
        ):
            return old
        # A request from there that waits for an answer is no obstacle, or anybody could make one
        # (PITFALLS B2); if it is accepted, our own attempt gives way.
        number = 0 if old is None else (old.number + 1) % CONNECTION_NUMBERS
        connection = Connection.dial(
            address, self._connection_time(now, after=old), number, data, self._surroundings, now
        )
        connection.opens_peer_to_peer = peer_to_peer
        self._add(connection, now)
        return connection

    def is_pending(self, request: IncomingRequest) -> bool:
        """
        The request can be decided: it has not expired nor been replaced by a newer one.
        """
        return self._requests.get(request.address) is request

    def accept(self, request: IncomingRequest, now: float) -> Connection:
        """
        Let in who asked.  An older connection with that address ends now, not before.

        :raise RudpError: the request has expired, or was decided before.
        """
        self._take(request)
        old = self._at(request.address)
        if old is not None and old.state is ConnectionState.OUTGOING:
            self._close(old, DisconnectReason.PEER_TO_PEER_CONNECTION, b"", now)
        elif old is not None and old.state is ConnectionState.CONNECTED:
            self._close(old, DisconnectReason.RECONNECT, b"", now)
        connection = Connection.accept(
            request.address,
            request.time,
            request.number,
            Allowance(self.config.amplification_limit, request.received_bytes),
            # A fresh reference peer answers 1..16383 only (WIRE §5).
            1 + self._random(14) % 16383,
            self._surroundings,
            now,
        )
        self._add(connection, now)
        self._events.append(PeerConnected(connection))
        return connection

    def reject(self, request: IncomingRequest, data: bytes, now: float) -> None:
        """
        Turn down who asked, and again if they ask again.

        :raise RudpError: the request has expired, or was decided before.
        :raise MessageTooLarge: ``data`` does not fit; the request stays undecided.
        """
        old = self._at(request.address)
        if old is not None and old.state in (
            ConnectionState.OUTGOING,
            ConnectionState.CONNECTED,
        ):
            # What we have with that address is none of the refused one's business (PITFALLS C2).
            self.reject_force(request, data)
            return
        refusal = Connection.refuse(
            request.address,
            request.time,
            request.number,
            Allowance(self.config.amplification_limit, request.received_bytes),
            data,
            self._surroundings,
            now,
        )
        self._take(request)
        self._add(refusal, now)
        self._remember_closed(refusal, now)

    def reject_force(self, request: IncomingRequest, data: bytes) -> None:
        """
        Turn down who asked, once; without data nothing is sent.

        If they ask again, which they do if they heard nothing, they are not heard (PITFALLS D10).

        :raise RudpError: the request has expired, or was decided before.
        :raise MessageTooLarge: over 498 bytes of data; the request stays undecided.
        """
        if len(data) > _MAX_FORCED_REJECT_DATA:
            raise MessageTooLarge(
                f"{len(data)} bytes with a forced reject; {_MAX_FORCED_REJECT_DATA} are allowed"
            )
        self._take(request)
        self._requests.refuse(request)
        if data:
            refusal = Disconnect(request.number, request.time, data).encode()
            allowance = Allowance(self.config.amplification_limit, request.received_bytes)
            if allowance.spend(len(refusal)):
                self._transmits.append(Transmit(request.address, refusal))
            else:
                self.statistics.count_drop("forced reject over the amplification limit")

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
        old = connection.address
        if connection.state is not ConnectionState.CONNECTED:
            raise NotConnected(f"the connection with {old} is {connection.state.name}")
        if address == old:
            return
        other = self._at(address)
        if other not in (None, connection) and other.state is not ConnectionState.DISCONNECTED:
            raise RudpError(f"there is another connection with {address}")
        connection.move(address, now)
        # Who asked from there is the peer itself, which has no need of a second connection.
        pending = self._requests.get(address)
        if pending is not None:
            self._requests.remove(pending)
        del self._connections[old]
        self._former.pop(address, None)
        self._former[old] = connection
        former = [each for each in connection.former if each not in (address, old)]
        connection.former = [*former, old]
        if len(connection.former) > _MAX_FORMER_ADDRESSES:
            self._leave(connection.former.pop(0), connection)
        self._connections[address] = connection
        self._dirty[connection] = None

    def disconnect(self, connection: Connection, data: bytes, now: float) -> None:
        """
        Close, telling the other side.  Raises as `Connection.disconnect`.
        """
        self._events += connection.disconnect(data, now)
        self._dirty[connection] = None
        self._remember_closed(connection, now)

    def unreachable(self, address: Address, now: float, *, network: bool) -> None:
        """
        The socket says that a host, or its whole network, cannot be reached.

        Anybody can make it say so (TRAPS T20), so it ends a connection only if the configuration
        asks for that.  Where a peer was before it moved is of no interest.
        """
        connection = self._connections.get(address)
        if connection is not None and self.config.disconnect_on_unreachable:
            reason = (
                DisconnectReason.NETWORK_UNREACHABLE
                if network
                else DisconnectReason.HOST_UNREACHABLE
            )
            self._close(connection, reason, b"", now)

    def hold(self, connection: Connection, held: bool) -> None:
        """
        Take no messages from a peer for a while, or take them again: its reliable ones come again
        (PITFALLS B3).
        """
        connection.hold(held)

    def disconnect_force(self, connection: Connection, now: float) -> None:
        """
        Close without telling anybody.
        """
        self._close(connection, DisconnectReason.DISCONNECT_PEER_CALLED, b"", now)

    @property
    def has_goodbyes(self) -> bool:
        """
        Some peer has not yet confirmed our disconnect.
        """
        return any(c.state is ConnectionState.SHUTDOWN_REQUESTED for c in self._closed)

    # ------------------------------------------------------------ commands: without connection

    def send_unconnected(self, address: Address, data: bytes) -> None:
        """
        Send one datagram to somebody without a connection.

        :raise MessageTooLarge: no reference peer could read it.
        :raise ValueError: ``address`` is not a literal IP and a port.
        """
        datagram = UnconnectedMessage(data).encode()
        if len(datagram) > MAX_DATAGRAM_SIZE:
            raise MessageTooLarge(f"{len(data)} bytes unconnected; 1431 are allowed")
        self._transmits.append(Transmit(canonical(address), datagram))

    def send_broadcast(self, address: Address, data: bytes) -> None:
        """
        Send one datagram to everybody behind a broadcast or multicast address.

        :raise MessageTooLarge: no reference peer could read it.
        :raise ValueError: ``address`` is not a literal IP and a port.
        """
        datagram = Broadcast(data).encode()
        if len(datagram) > MAX_DATAGRAM_SIZE:
            raise MessageTooLarge(f"{len(data)} bytes broadcast; 1431 are allowed")
        self._transmits.append(Transmit(canonical(address), datagram))

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

    # ------------------------------------------------------------ datagrams, by kind

    def _receive_of_none(
        self, prop: int, connection: Connection | None, address: Address, now: float
    ) -> None:
        """
        Take what belongs to a connection, but to none that we have, or that takes it.
        """
        if connection is None:
            self.statistics.count_drop("no connection")
            self._reply_to_stranger(address, PeerNotFound().encode(), now)
        elif prop == PacketProperty.SHUTDOWN_OK:
            connection.shutdown_confirmed(now)
        elif connection.state is not ConnectionState.CONNECTED:
            # After our own disconnect event nothing more is delivered (PITFALLS D15).
            self._drop("not connected", connection)
        else:
            self._drop("connection number", connection)

    def _receive_request(
        self, data: bytes, connection: Connection | None, address: Address, now: float
    ) -> None:
        # Whatever stands behind another protocol id is not ours to read (WIRE §2.1).
        if ConnectRequest.protocol_of(data) != PROTOCOL_ID:
            self._reply_to_stranger(address, InvalidProtocol().encode(), now)
            return
        request = ConnectRequest.decode(data)
        size = len(data)
        number = request.connection_number
        if connection is not None:
            latest = self._ticks(now) + _FARTHEST_TIME
            answer = number_for(request, connection, latest)
            if answer is None:
                self._drop("superseded request", connection)
                if request.connection_time == connection.connection_time:
                    repeated = connection.repeat_answer(now)
                    if repeated is not None:
                        # Not to where we have moved: who still asks does not listen there.
                        self._transmits.append(Transmit(address, repeated))
                return
            number = answer
            connection.discount(size)
            if (
                connection.state is ConnectionState.CONNECTED
                and self.config.amplification_limit > 0
            ):
                connection.challenge(request, size, address, now)
                return
        self._hold_request(request, size, address, number, now)

    def _receive_accept(
        self, packet: ConnectAccept, connection: Connection, now: float
    ) -> None:
        opened = connection.accepted(packet, now)
        pending = self._requests.get(connection.address)
        if opened and pending is not None:
            # Who lets us in has given up its own request, or will ask again: accepted after this
            # it would make a connection that only we know of.
            self._requests.remove(pending)
        self._events += opened

    def _hold_request(
        self, request: ConnectRequest, size: int, address: Address, number: int, now: float
    ) -> None:
        if self._requests.is_refused(address, request.connection_time, now):
            self.statistics.count_drop("refused request")
            return
        pending = self._requests.get(address)
        if pending is not None and request.connection_time <= pending.time:
            if request.connection_time == pending.time:
                pending.received_bytes += size
            return
        # A newer request replaces the older one whole: who is let in must be who asked
        # (PITFALLS D11).
        pending = self._requests.add(address, request, number, size, now)
        if pending is None:
            self.statistics.count_drop("too many requests")
        else:
            self._events.append(ConnectionRequested(pending))

    def _receive_disconnect(
        self, packet: Disconnect, connection: Connection | None, address: Address, now: float
    ) -> None:
        if connection is not None:
            if (
                packet.connection_time != connection.connection_time
                or packet.connection_number != connection.number
            ):
                self._drop("disconnect of another connection", connection)
                return
            rejected = connection.state is ConnectionState.OUTGOING
            self._close(
                connection,
                DisconnectReason.CONNECTION_REJECTED
                if rejected
                else DisconnectReason.REMOTE_CONNECTION_CLOSE,
                packet.data,
                now,
            )
            # Answered also if closed before: a lost ShutdownOk must not cost 5 s (PITFALLS D8).
            # Whoever names the connection is no stranger, and not to suffer for those.
            self._transmits.append(Transmit(address, ShutdownOk().encode()))
            return
        self._reply_to_stranger(address, ShutdownOk().encode(), now)

    def _receive_peer_not_found(
        self, data: bytes, connection: Connection | None, address: Address, now: float
    ) -> None:
        packet = PeerNotFound.decode(data)
        if connection is None:
            if packet.connection_time is not None and not packet.confirmed:
                answer = PeerNotFound(packet.connection_time, confirmed=True)
                self._reply_to_stranger(address, answer.encode(), now)
        elif connection.state is ConnectionState.CONNECTED:
            if packet.connection_time is None:
                connection.question(now)
            elif packet.confirmed and packet.connection_time == connection.connection_time:
                self._close(connection, DisconnectReason.REMOTE_CONNECTION_CLOSE, b"", now)

    def _receive_nat(self, data: bytes, address: Address, now: float) -> None:
        if not self.config.nat_punch_enabled:
            self.statistics.count_drop("NAT punch disabled")
            return
        self._events += self._introductions.receive(data[1:], address, now)

    def _unconnected(self, address: Address, data: bytes, kind: UnconnectedMessageType) -> None:
        self._events.append(UnconnectedReceived(address, data[1:], kind))

    # ------------------------------------------------------------ inside

    def _reply_to_stranger(self, address: Address, datagram: bytes, now: float) -> None:
        # Never larger than what it answers, but there must be an end to it (PITFALLS C11).
        if self._stray_replies.take(now):
            self._transmits.append(Transmit(address, datagram))
        else:
            self.statistics.count_drop("too many replies to strangers")

    def _drop(self, reason: str, connection: Connection | None) -> None:
        # What a connection drops counts in the endpoint's statistics, too.
        statistics = self.statistics if connection is None else connection.statistics
        statistics.count_drop(reason)

    def _ticks(self, now: float) -> int:
        return self._surroundings.epoch + int(now * TICKS_PER_SECOND)

    def _connection_time(self, now: float, after: Connection | None) -> int:
        present = self._ticks(now)
        time = present
        if after is not None and after.connection_time < present + _FARTHEST_TIME:
            # The remote may have made that one, by a clock ahead of ours, and hears of no older one
            # as long as it remembers it (BEHAVIOUR §3.2).
            time = max(time, after.connection_time + (1 << _RANDOM_TIME_BITS))
        guess_proof = time >> _RANDOM_TIME_BITS << _RANDOM_TIME_BITS
        guess_proof |= self._random(_RANDOM_TIME_BITS)
        self.last_connection_time = max(guess_proof, self.last_connection_time + 1)
        return self.last_connection_time

    def _take(self, request: IncomingRequest) -> None:
        if not self._requests.remove(request):
            raise RudpError(f"the request from {request.address} has expired or is decided")

    def _at(self, address: Address) -> Connection | None:
        connection = self._connections.get(address)
        return self._former.get(address) if connection is None else connection

    def _add(self, connection: Connection, now: float) -> None:
        old = self._connections.get(connection.address)
        if old is not None:
            self._poll_last(old, now)
        self._connections[connection.address] = connection
        self._dirty[connection] = None

    def _close(
        self, connection: Connection, reason: DisconnectReason, data: bytes, now: float
    ) -> None:
        self._events += connection.close(DisconnectInfo(reason, data), now)
        self._dirty[connection] = None
        self._remember_closed(connection, now)

    def _remember_closed(self, connection: Connection, now: float) -> None:
        self._closed[connection] = None
        if len(self._closed) > self.config.max_closing:
            self._poll_last(next(iter(self._closed)), now)

    def _poll_last(self, connection: Connection, now: float) -> None:
        # Its goodbye may not have left yet.
        self._poll(connection, now)
        self._forget(connection)

    def _poll(self, connection: Connection, now: float) -> None:
        address = connection.address
        for datagram in connection.poll():
            self._transmits.append(Transmit(address, datagram))
        datagrams = connection.poll_data(now)
        if datagrams:
            mtu = connection.mtu
            for datagram in datagrams:
                # Made for a path that took larger ones than it does now.
                large = len(datagram) > mtu
                self._transmits.append(Transmit(address, datagram, None, large))

    def _forget(self, connection: Connection) -> None:
        self._closed.pop(connection, None)
        self._dirty.pop(connection, None)
        self._deadlines.forget(connection)
        # By identity: a newer connection may have taken the address (PITFALLS D29).
        if self._connections.get(connection.address) is connection:
            del self._connections[connection.address]
        for address in connection.former:
            self._leave(address, connection)

    def _leave(self, address: Address, connection: Connection) -> None:
        if self._former.get(address) is connection:
            del self._former[address]


def _through(layer: PacketLayer, transmit: Transmit) -> Transmit:
    data = layer.outbound(transmit.data)
    return Transmit(transmit.address, data, transmit.ttl, transmit.may_fragment)


def _check_overhead(overhead: int) -> None:
    if not 0 <= overhead <= _MAX_LAYER_OVERHEAD:
        raise ValueError(f"layer.overhead must be in 0..{_MAX_LAYER_OVERHEAD}, not {overhead}")
