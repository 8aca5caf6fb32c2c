"""
One connection: its state, its timers, its channels (BEHAVIOUR §2-§7).
"""

from __future__ import annotations

from typing import Any, Final

from p2pnet.rudp.allowance import Allowance
from p2pnet.rudp.config import Surroundings
from p2pnet.rudp.errors import MessageTooLarge, NotConnected, RudpError
from p2pnet.rudp.events import (
    ConnectionState,
    DisconnectInfo,
    DisconnectReason,
    Event,
    LatencyUpdated,
    MessageDelivered,
    PeerConnected,
    PeerDisconnected,
)
from p2pnet.rudp.heartbeat import FIRST_PING, Heartbeat
from p2pnet.rudp.mtu import MtuDiscovery
from p2pnet.rudp.received import MessagesReceived
from p2pnet.rudp.rtt import NEVER, RttEstimator
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.traffic import NO_CHANNEL, Traffic
from p2pnet.wire.constants import (
    CONNECTION_NUMBER_SHIFT,
    MAX_DATAGRAM_SIZE,
    PROPERTY_MASK,
    TICKS_PER_SECOND,
    Address,
    DeliveryMethod,
    PacketProperty,
)
from p2pnet.wire.control import (
    PING,
    PONG,
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    MtuProbe,
    PeerNotFound,
    Ping,
    Pong,
)
from p2pnet.wire.header import MalformedPacket, verify
from p2pnet.wire.sockaddr import encode_sockaddr

MAX_MERGE_DEPTH: Final = 4
"""The reference nests once at most; more is an attempt at recursion (PITFALLS B9, TRAPS T16)."""
_DOUBTS: Final = 2
"""ConnectRequests that may stay unanswered after an InvalidProtocol."""
_MIN_CHALLENGE: Final = 0.25
_MAX_CHALLENGE: Final = 2.0
"""Seconds for which our peer may prove that it is still there; a client asks for 5.7 s."""
_SHUTDOWN_REPEAT: Final = 0.3
# Of `ConnectionState` and `PacketProperty`, for where there is no time to look them up.
_CONNECTED: Final = ConnectionState.CONNECTED
_CHANNELED: Final = 1
_ACK: Final = 2
_MERGED: Final = 12
_METHODS: Final = tuple(DeliveryMethod)
"""By number; to look one up is ten times as fast as to make it."""
_DISCONNECT_SPACE: Final = 10
"""A Disconnect must stay below the MTU: 9 bytes of header, and one (WIRE §9)."""

_MOVES: Final = {
    ConnectionState.OUTGOING: (
        ConnectionState.CONNECTED,
        ConnectionState.SHUTDOWN_REQUESTED,
        ConnectionState.DISCONNECTED,
    ),
    ConnectionState.CONNECTED: (
        ConnectionState.SHUTDOWN_REQUESTED,
        ConnectionState.DISCONNECTED,
    ),
    ConnectionState.SHUTDOWN_REQUESTED: (ConnectionState.DISCONNECTED,),
    ConnectionState.DISCONNECTED: (),
}
"""From each state, where a connection may go (BEHAVIOUR §2)."""


class Connection:
    """
    Everything about one remote address, from the first datagram until it is forgotten.

    Made by `dial`, `accept` and `refuse`.  `receive` takes its datagrams, `poll` and `poll_data`
    give those to send, `handle_timeout` runs what is due at `next_timeout`.

    :ivar address: where the remote is.
    :ivar former: where it was before, oldest first; kept by the Endpoint.
    :ivar connection_time: the connection's secret: .NET ticks chosen by who dialled.
    :ivar number: 0..3, tells this connection from earlier ones of the same address.
    :ivar state: where it is in its life; only this class changes it.
    :ivar opens_peer_to_peer: the remote may dial us while we dial it.
    :ivar rtt: how long its answers take.
    :ivar statistics: its counters.
    :ivar remote_time_delta: how far the remote's clock is ahead of ours, in seconds.
    """

    def __init__(
        self,
        address: Address,
        connection_time: int,
        number: int,
        state: ConnectionState,
        surroundings: Surroundings,
        now: float,
        allowance: Allowance,
        first_ping: int = FIRST_PING,
    ) -> None:
        self.address = address
        self.former: list[Address] = []
        self.connection_time = connection_time
        self.number = number
        self.state = state
        self.opens_peer_to_peer = False
        self.rtt = RttEstimator()
        self.statistics = NetStatistics(surroundings.total)
        self.remote_time_delta = 0.0
        self._surroundings = surroundings
        self._config = config = surroundings.config
        self._allowance = allowance
        self._last_heard = now

        self._handshake = b""
        """Our ConnectRequest or ConnectAccept, to be repeated as it is."""
        self._attempts = 0
        self._retry_at = NEVER

        self._control: list[bytes] = []
        """Datagrams that go out before any data, each for itself."""
        self._mtu = MtuDiscovery(config, surroundings.overhead)
        self._traffic = Traffic(config, number, self._mtu.mtu, self.statistics)

        self._heartbeat = Heartbeat(config.ping_interval, first_ping)

        self._goodbye = b""
        self._goodbye_at = NEVER
        self._forget_at = NEVER

        self._doubts = 0
        """Retries left before we believe that the remote speaks another protocol."""
        self._challenger: tuple[ConnectRequest, int, Address] | None = None
        self._challenged_at = 0.0
        self._challenged_until = NEVER
        self._followed_by = now
        """When a remote that is alive has moved as we have, and knows us where we are."""

    # ------------------------------------------------------------ the three ways in

    @classmethod
    def dial(
        cls,
        address: Address,
        connection_time: int,
        number: int,
        data: bytes,
        surroundings: Surroundings,
        now: float,
    ) -> Connection:
        """
        Ask `address` for a connection.

        :raise MessageTooLarge: the request would not fit a datagram.
        """
        target = encode_sockaddr(address)
        request = ConnectRequest(number, connection_time, target, data).encode()
        if len(request) > MAX_DATAGRAM_SIZE:
            raise MessageTooLarge(
                f"{len(data)} bytes of connection data make a datagram of {len(request)}"
            )
        # Who we dial is not a stranger: the application named it.
        self = cls(
            address,
            connection_time,
            number,
            ConnectionState.OUTGOING,
            surroundings,
            now,
            Allowance(0, 0),
        )
        self._handshake = request
        self._retry_at = now + surroundings.config.reconnect_delay
        self._control.append(request)
        return self

    @classmethod
    def accept(
        cls,
        address: Address,
        connection_time: int,
        number: int,
        allowance: Allowance,
        first_ping: int,
        surroundings: Surroundings,
        now: float,
    ) -> Connection:
        """
        Let in who asked.

        :param first_ping: the sequence to answer, 1..16383; if unguessable it proves the address.
        """
        self = cls(
            address,
            connection_time,
            number,
            ConnectionState.CONNECTED,
            surroundings,
            now,
            allowance,
            first_ping,
        )
        self._handshake = ConnectAccept(connection_time, number).encode()
        self._send_control(self._handshake)
        if allowance.proven:
            self._heartbeat.start(now)
            self._mtu.start(now)
        else:
            self._ping(now)
        return self

    @classmethod
    def refuse(
        cls,
        address: Address,
        connection_time: int,
        number: int,
        allowance: Allowance,
        data: bytes,
        surroundings: Surroundings,
        now: float,
    ) -> Connection:
        """
        Turn down who asked, until it says that it knows (BEHAVIOUR §3.2).

        :raise MessageTooLarge: the refusal would not fit.
        """
        self = cls(
            address,
            connection_time,
            number,
            ConnectionState.SHUTDOWN_REQUESTED,
            surroundings,
            now,
            allowance,
        )
        self._say_goodbye(data, now)
        return self

    # ------------------------------------------------------------ commands

    def send(
        self, data: bytes, method: DeliveryMethod, channel: int, user_data: Any = None
    ) -> None:
        """
        Queue one message.

        :param user_data: comes back with `MessageDelivered`; None if nobody wants to know.
        :raise NotConnected: not in state CONNECTED.
        :raise MessageTooLarge: see there.
        :raise QueueFull: see there.
        :raise ValueError: no such channel, or ``user_data`` with a method that is not acknowledged
            message by message (BEHAVIOUR §8.3).
        """
        if self.state is not _CONNECTED:
            raise NotConnected(f"the connection with {self.address} is {self.state.name}")
        self._traffic.send(data, method, channel, user_data)

    def disconnect(self, data: bytes, now: float) -> list[Event]:
        """
        Close, and repeat ``data`` until the other side says that it knows.

        Unacknowledged messages are abandoned.  Does nothing if already closing.

        :raise MessageTooLarge: ``data`` does not fit one datagram.
        """
        if self.state not in (ConnectionState.OUTGOING, ConnectionState.CONNECTED):
            return []
        self._say_goodbye(data, now)
        self._move(ConnectionState.SHUTDOWN_REQUESTED)
        return [PeerDisconnected(self, DisconnectInfo(DisconnectReason.DISCONNECT_PEER_CALLED))]

    def close(self, info: DisconnectInfo, now: float) -> list[Event]:
        """
        Close without telling the other side.

        :return: `PeerDisconnected` with ``info``, unless that has been told before.
        """
        was_open = self.state in (ConnectionState.OUTGOING, ConnectionState.CONNECTED)
        if self.state is not ConnectionState.DISCONNECTED:
            self._move(ConnectionState.DISCONNECTED)
            self._goodbye_at = NEVER
            self._forget_at = max(now, self._last_heard + self._config.disconnect_timeout)
        return [PeerDisconnected(self, info)] if was_open else []

    def move(self, address: Address, now: float) -> None:
        """
        Go on at ``address``, where the remote has proven to be.

        For state CONNECTED.  What is under way stays so; how large a datagram the new path takes is
        found out anew.
        """
        self.address = address
        self._followed_by = now + self._config.disconnect_timeout
        self._allowance.proven = True
        self._mtu.start_anew(now)
        self._traffic.mtu = self._mtu.mtu

    @property
    def mtu(self) -> int:
        """
        The largest datagram now sent to this peer, in bytes, without what a packet layer adds.
        """
        return self._traffic.mtu

    @property
    def traffic(self) -> Traffic:
        """
        Queues and windows, to be looked at.
        """
        return self._traffic

    @property
    def last_heard(self) -> float:
        """
        When the last packet came that kept this connection alive.
        """
        return self._last_heard

    @property
    def unacknowledged(self) -> int:
        """
        Reliable packets queued or under way.
        """
        return self._traffic.unacknowledged

    def hold(self, held: bool) -> None:
        """
        Take no messages from the peer, or take them again (PITFALLS B3).
        """
        self._traffic.held = held

    # ------------------------------------------------------------ what happened outside

    def count_received(self, size: int) -> None:
        """
        A datagram of this address has come, whatever is in it.
        """
        self.statistics.packets_received += 1
        self.statistics.bytes_received += size
        self._allowance.received(size)

    def count_sent(self, size: int, datagrams: int) -> None:
        """
        So many datagrams, of ``size`` bytes together, leave for this address.
        """
        self.statistics.packets_sent += datagrams
        self.statistics.bytes_sent += size

    def discount(self, size: int) -> None:
        """
        Those bytes were a newcomer's, and count for what it may be sent.
        """
        self._allowance.received(-size)

    def accepted(self, accept: ConnectAccept, now: float) -> list[Event]:
        """
        A ConnectAccept has come; it counts if it answers our request.
        """
        if (
            self.state is not ConnectionState.OUTGOING
            or accept.connection_time != self.connection_time
        ):
            return []
        self.number = accept.connection_number
        self._traffic = Traffic(self._config, self.number, self._mtu.mtu, self.statistics)
        self._move(ConnectionState.CONNECTED)
        if self._attempts == 0:
            # After a repetition it is not known which request was answered (Karn).
            self.rtt.sample(now - self._last_heard)
        self._last_heard = now
        self._retry_at = NEVER
        self._heartbeat.start(now)
        self._mtu.start(now)
        return [PeerConnected(self)]

    def repeat_answer(self, now: float) -> bytes | None:
        """
        The request that made this connection has come again, our answer seems to be lost: the
        datagram to answer with, None if there is none.
        """
        answer = b""
        if self.state is ConnectionState.SHUTDOWN_REQUESTED:
            self._last_heard = now
            answer = self._goodbye
        elif (
            self.state is ConnectionState.CONNECTED
            # A connection that we dialled has no accept to repeat (PITFALLS D13).
            and self._handshake[0] == PacketProperty.CONNECT_ACCEPT
        ):
            answer = self._handshake
        return answer if answer and self._allowance.spend(len(answer)) else None

    def question(self, now: float) -> None:
        """
        The other side does not know us, it says: ask whether it means this connection (WIRE §6).

        Not after we have moved: until it does so, too, it knows nobody where we are now.
        """
        if now >= self._followed_by:
            self._send_control(PeerNotFound(self.connection_time).encode())

    def doubt_protocol(self, now: float) -> list[Event]:
        """
        An InvalidProtocol has come.  One byte is easily forged: we ask twice more (PITFALLS C4).
        """
        if self.state is not ConnectionState.OUTGOING:
            return []
        if not self._config.amplification_limit:
            return self.close(DisconnectInfo(DisconnectReason.INVALID_PROTOCOL), now)
        self._doubts = self._doubts or _DOUBTS
        return []

    def challenge(
        self, request: ConnectRequest, size: int, address: Address, now: float
    ) -> None:
        """
        Somebody at an address of our peer's asks for a new connection: is our peer still there?

        A restarted program cannot answer the ping of its predecessor (PITFALLS C2).
        """
        if self._challenger is None:
            patience = min(max(_MIN_CHALLENGE, 2 * self.rtt.resend_delay), _MAX_CHALLENGE)
            self._challenged_at = now
            self._challenged_until = now + patience
            self._ping(now)
            # One more on the way: a ping is as easily lost as a request is forged.
            self._heartbeat.next_at = min(self._heartbeat.next_at, now + patience / 4)
        elif self._challenger[0].connection_time > request.connection_time:
            return
        self._challenger = request, size, address

    def unanswered_challenge(self, now: float) -> tuple[ConnectRequest, int, Address] | None:
        """
        The request, its size in bytes and where it came from, that may have its way because our
        peer was silent; None if there is none.
        """
        challenger = self._challenger
        if challenger is None or now < self._challenged_until:
            return None
        self._challenger = None
        self._challenged_until = NEVER
        return challenger

    def shutdown_confirmed(self, now: float) -> None:
        """
        A ShutdownOk has come.
        """
        if self.state is ConnectionState.SHUTDOWN_REQUESTED:
            self.close(DisconnectInfo(DisconnectReason.DISCONNECT_PEER_CALLED), now)

    def receive(self, data: bytes, now: float, depth: int = 0) -> list[Event]:
        """
        Take a verified packet of connected type and of our number, in state CONNECTED.

        :raise MalformedPacket: the packet contradicts itself.
        """
        self._last_heard = now
        prop = data[0] & PROPERTY_MASK
        if prop == _CHANNELED:
            return self._receive_channeled(data, now)
        if prop == _MERGED:
            return self._receive_merged(data, now, depth)
        if prop == _ACK:
            delivered = self._traffic.receive_ack(data, now, self.rtt)
            self._mtu.delivered(self._traffic.largest_confirmed)
            return [MessageDelivered(self, user_data) for user_data in delivered]
        match prop:
            case PacketProperty.UNRELIABLE:
                if self._traffic.held:
                    self.statistics.count_drop("unread messages")
                    return []
                return [MessagesReceived(self, [data[1:]], 0, DeliveryMethod.UNRELIABLE)]
            case PacketProperty.PING:
                self._receive_ping(PING.unpack_from(data)[1], now)
            case PacketProperty.PONG:
                _, sequence, ticks = PONG.unpack_from(data)
                return self._receive_pong(sequence, ticks, now)
            case PacketProperty.MTU_CHECK:
                size = MtuProbe.decode(data).size
                self._send_control(MtuProbe(self.number, size, answer=True).encode())
                if self._mtu.asked(size, now):
                    self._traffic.use_whole_window()
                    self.rtt.expect_acks_at_once()
            case PacketProperty.MTU_OK:
                if self._mtu.answered(MtuProbe.decode(data).size, now):
                    self._traffic.mtu = self._mtu.mtu
        return []

    def _receive_channeled(self, data: bytes, now: float) -> list[Event]:
        events: list[Event] = []
        for messages, channel_id in self._traffic.receive(data):
            events.append(self._received(messages, channel_id))
        if self._traffic.overflow:
            info = DisconnectInfo(
                DisconnectReason.LIMIT_EXCEEDED, detail=self._traffic.overflow
            )
            self._say_goodbye(b"", now)
            self._move(ConnectionState.SHUTDOWN_REQUESTED)
            events.append(PeerDisconnected(self, info))
        return events

    def _receive_merged(self, data: bytes, now: float, depth: int) -> list[Event]:
        if depth >= MAX_MERGE_DEPTH:
            raise MalformedPacket("merged too deep")
        events: list[Event] = []
        position, end = 1, len(data)
        while position + 2 <= end:
            messages: list[bytes] = []
            channel_id, position = self._traffic.receive_run(data, position, messages)
            if messages:
                events.append(self._received(messages, channel_id))
                continue
            start = position + 2
            position = start + (data[position] | data[position + 1] << 8)
            if position == start or position > end:
                # What stands there is no packet, and nothing behind it is one (PITFALLS A3).
                break
            packet = data[start:position]
            try:
                verify(packet)
                if packet[0] >> CONNECTION_NUMBER_SHIFT & 3 != self.number:
                    self.statistics.count_drop("connection number")
                    continue
                events += self.receive(packet, now, depth + 1)
            except MalformedPacket:
                # It ends the datagram; what stood before it stays processed (WIRE §4.4).
                self.statistics.count_drop("malformed")
                break
            if self.state is not _CONNECTED:
                break
        return events

    def _received(self, messages: list[bytes], channel_id: int) -> MessagesReceived:
        if channel_id == NO_CHANNEL:
            return MessagesReceived(self, messages, 0, DeliveryMethod.UNRELIABLE)
        return MessagesReceived(self, messages, channel_id >> 2, _METHODS[channel_id & 3])

    def _receive_ping(self, sequence: int, now: float) -> None:
        if self._heartbeat.answers(sequence):
            ticks = self._surroundings.epoch + int(now * TICKS_PER_SECOND)
            self._send_control(Pong(self.number, sequence, ticks).encode())

    def _receive_pong(self, sequence: int, ticks: int, now: float) -> list[Event]:
        if not self._allowance.proven and self._heartbeat.hurried_lately(sequence):
            self._allowance.proven = True
            self._heartbeat.start(now)
            self._mtu.start(now)
        round_trip = self._heartbeat.pong(sequence, now)
        if round_trip is None:
            return []
        self.rtt.sample(round_trip)
        ours = self._surroundings.epoch + (now - round_trip / 2) * TICKS_PER_SECOND
        self.remote_time_delta = (ticks - ours) / TICKS_PER_SECOND
        if round_trip <= now - self._challenged_at:
            # Who answers a ping of that time is no stale entry that a newcomer could replace.
            self._challenger = None
            self._challenged_until = NEVER
        return [LatencyUpdated(self, round_trip / 2)]

    # ------------------------------------------------------------ time

    def next_timeout(self) -> float:
        """
        When `handle_timeout` and `poll` have something to do, if nothing happens before.
        """
        if self.state is _CONNECTED:
            return min(
                self._last_heard + self._config.disconnect_timeout,
                self._heartbeat.next_at,
                self._traffic.next_timeout(),
                self._mtu.next_at,
                self._challenged_until,
            )
        match self.state:
            case ConnectionState.OUTGOING:
                return self._retry_at
            case ConnectionState.SHUTDOWN_REQUESTED:
                expiry = self._last_heard + self._config.disconnect_timeout
                return min(expiry, self._goodbye_at)
            case _:
                return self._forget_at

    def handle_timeout(self, now: float) -> list[Event]:
        """
        Run what is due.
        """
        match self.state:
            case ConnectionState.OUTGOING:
                return self._retry(now)
            case ConnectionState.CONNECTED:
                if now >= self._last_heard + self._config.disconnect_timeout:
                    return self.close(DisconnectInfo(DisconnectReason.TIMEOUT), now)
                if now >= self._heartbeat.next_at:
                    self._ping(now)
                if now >= self._mtu.next_at:
                    for size in self._mtu.probes(now):
                        self._send_control(MtuProbe(self.number, size).encode())
                self._traffic.handle_timeout(now)
            case ConnectionState.SHUTDOWN_REQUESTED:
                if now >= self._last_heard + self._config.disconnect_timeout:
                    self.shutdown_confirmed(now)
                elif now >= self._goodbye_at:
                    self._goodbye_at = now + _SHUTDOWN_REPEAT
                    self._send_control(self._goodbye)
        return []

    def is_forgotten(self, now: float) -> bool:
        """
        Closed, and remembered for long enough.
        """
        return self.state is ConnectionState.DISCONNECTED and now >= self._forget_at

    def _retry(self, now: float) -> list[Event]:
        if now < self._retry_at:
            return []
        self._attempts += 1
        if self._attempts > self._config.max_connect_attempts:
            return self.close(DisconnectInfo(DisconnectReason.CONNECTION_FAILED), now)
        if self._doubts:
            self._doubts -= 1
            if not self._doubts:
                return self.close(DisconnectInfo(DisconnectReason.INVALID_PROTOCOL), now)
        self._retry_at = now + self._config.reconnect_delay
        self._control.append(self._handshake)
        return []

    def _ping(self, now: float) -> None:
        if self._allowance.proven:
            sequence = self._heartbeat.ping(now)
        else:
            sequence = self._heartbeat.hurried_ping(now, self.rtt.resend_delay)
        self._send_control(Ping(self.number, sequence).encode())

    # ------------------------------------------------------------ what is to be sent

    def poll(self) -> list[bytes]:
        """
        Control packets to send now, each in a datagram for itself.
        """
        datagrams = self._control
        self._control = []
        return datagrams

    def poll_data(self, now: float) -> list[bytes]:
        """
        Datagrams with acks and messages to send now.
        """
        if self.state is not _CONNECTED or not self._traffic.is_waiting:
            return []
        allowance = self._allowance
        datagrams = self._traffic.poll(now, self.rtt, allowance.room)
        if not allowance.proven:
            for datagram in datagrams:
                allowance.spend(len(datagram))
        if self._traffic.lost_size:
            for size in self._mtu.lost(self._traffic.lost_size, now):
                datagrams.append(MtuProbe(self.number, size).encode())
        return datagrams

    def _send_control(self, datagram: bytes) -> None:
        if self._allowance.spend(len(datagram)):
            self._control.append(datagram)

    def _say_goodbye(self, data: bytes, now: float) -> None:
        if len(data) > self.mtu - _DISCONNECT_SPACE:
            raise MessageTooLarge(
                f"{len(data)} bytes with a disconnect; {self.mtu - _DISCONNECT_SPACE} are allowed"
            )
        self._goodbye = Disconnect(self.number, self.connection_time, data).encode()
        # To who has not proven its address we speak only when spoken to (PITFALLS C1).
        self._goodbye_at = now + _SHUTDOWN_REPEAT if self._allowance.proven else NEVER
        self._last_heard = now
        self._send_control(self._goodbye)

    def _move(self, state: ConnectionState) -> None:
        if state not in _MOVES[self.state]:
            raise RudpError(f"a connection does not go from {self.state.name} to {state.name}")
        self.state = state
