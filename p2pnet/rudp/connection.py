"""
One connection: its state, its timers, its channels (BEHAVIOUR §2-§7).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from p2pnet.rudp.channels import (
    NEVER,
    Channel,
    Outgoing,
    Receipt,
    ReliableChannel,
    SequencedChannel,
)
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge, NotConnected, RudpError
from p2pnet.rudp.events import (
    ConnectionState,
    DisconnectInfo,
    DisconnectReason,
    Event,
    LatencyUpdated,
    MessageDelivered,
    MessageReceived,
    PeerConnected,
    PeerDisconnected,
)
from p2pnet.rudp.fragments import LimitExceeded, Reassembler, split
from p2pnet.rudp.handshake import Allowance
from p2pnet.rudp.merging import Merger
from p2pnet.rudp.rtt import RttEstimator, backed_off
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    CONNECTION_NUMBER_SHIFT,
    DISCONNECT_HEADER_SIZE,
    FRAGMENTED_FLAG,
    HEADER_SIZE,
    MAX_DATAGRAM_SIZE,
    MAX_SEQUENCE,
    PROPERTY_MASK,
    RELIABLE_ACK_SIZE,
    TICKS_PER_SECOND,
    Address,
    DeliveryMethod,
    PacketProperty,
)
from p2pnet.wire.packets import (
    CHANNELED,
    FRAGMENT,
    PING,
    PONG,
    RELIABLE_ACK,
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    MalformedPacket,
    MtuProbe,
    Ping,
    Pong,
    split_merged,
    verify,
)
from p2pnet.wire.sockaddr import encode_sockaddr

MAX_MERGE_DEPTH: Final = 4
"""The reference nests once at most; more is an attempt at recursion (PITFALLS B9, TRAPS T16)."""
_SHUTDOWN_REPEAT: Final = 0.3
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

    Made by `dial`, `accept` and `refuse`.  `receive` takes its datagrams, `poll` gives those to
    send, `handle_timeout` runs what is due at `next_timeout`.

    :ivar address: where the remote is.
    :ivar connection_time: the connection's secret: .NET ticks chosen by who dialled.
    :ivar number: 0..3, tells this connection from earlier ones of the same address.
    :ivar opens_peer_to_peer: the remote may dial us while we dial it.
    """

    def __init__(
        self,
        address: Address,
        connection_time: int,
        number: int,
        state: ConnectionState,
        config: EndpointConfig,
        epoch: int,
        now: float,
        allowance: Allowance,
    ) -> None:
        self.address = address
        self.connection_time = connection_time
        self.number = number
        self.state = state
        self.opens_peer_to_peer = False
        self.mtu = config.initial_mtu
        self.rtt = RttEstimator()
        self.statistics = NetStatistics()
        self._config = config
        self._epoch = epoch
        self._allowance = allowance
        self._last_heard = now

        self._handshake = b""
        """Our ConnectRequest or ConnectAccept, to be repeated as it is."""
        self._attempts = 0
        self._retry_at = NEVER

        self._control: list[bytes] = []
        """Datagrams that go out before any data, each for itself."""
        self._merger = Merger(self.mtu, number)
        self._channels: dict[int, Channel] = {}
        self._busy: dict[int, Channel] = {}
        """Channels with something to send now, in the order they got it."""
        self._channel_timeout = NEVER
        self._unreliable: deque[bytes] = deque()
        self._reassembler = Reassembler(config)
        self._last_fragment_id = 0
        self._starved = False
        """Data waits for the allowance to grow."""

        self._ping_at = NEVER
        self._ping_sequence = 1
        self._ping_sent_at = NEVER
        self._unproven_pings = 0
        self._answered_ping = -1

        self._goodbye = b""
        self._goodbye_at = NEVER
        self._forget_at = NEVER

    # ------------------------------------------------------------ the three ways in

    @classmethod
    def dial(
        cls,
        address: Address,
        connection_time: int,
        number: int,
        data: bytes,
        config: EndpointConfig,
        epoch: int,
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
            config,
            epoch,
            now,
            Allowance(0, 0),
        )
        self._handshake = request
        self._retry_at = now + config.reconnect_delay
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
        config: EndpointConfig,
        epoch: int,
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
            config,
            epoch,
            now,
            allowance,
        )
        self._ping_sequence = first_ping - 1
        self._handshake = ConnectAccept(connection_time, number).encode()
        self._send_control(self._handshake)
        if allowance.proven:
            self._ping_at = now + config.ping_interval
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
        config: EndpointConfig,
        epoch: int,
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
            config,
            epoch,
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

        :raise NotConnected: not in state CONNECTED.
        :raise MessageTooLarge: see there.
        :raise ValueError: no such channel.
        """
        if self.state is not ConnectionState.CONNECTED:
            raise NotConnected(f"the connection with {self.address} is {self.state.name}")
        if not 0 <= channel < self._config.channels:
            raise ValueError(f"channel must be in 0..{self._config.channels - 1}, not {channel}")
        if method is DeliveryMethod.UNRELIABLE:
            if len(data) + HEADER_SIZE > self.mtu:
                raise MessageTooLarge(f"{len(data)} bytes unreliable at an MTU of {self.mtu}")
            first = PacketProperty.UNRELIABLE | self.number << CONNECTION_NUMBER_SHIFT
            self._unreliable.append(bytes((first,)) + data)
            return
        channel_id = channel * 4 + method
        out = self._channel(channel_id)
        if len(data) + CHANNELED_HEADER_SIZE <= self.mtu:
            receipt = None if user_data is None else Receipt(user_data, 1)
            out.queue(Outgoing(data, False, receipt))
        elif isinstance(out, SequencedChannel):
            raise MessageTooLarge(f"{len(data)} bytes {method.name} at an MTU of {self.mtu}")
        else:
            fragment_id = (self._last_fragment_id + 1) & 0xFFFF
            parts = split(data, self.mtu, fragment_id)
            self._last_fragment_id = fragment_id
            receipt = None if user_data is None else Receipt(user_data, len(parts))
            for part in parts:
                out.queue(Outgoing(part, True, receipt))
        self._busy[channel_id] = out

    def disconnect(self, data: bytes, now: float) -> list[Event]:
        """
        Close, and repeat `data` until the other side says that it knows.

        Unacknowledged messages are abandoned.  Does nothing if already closing.

        :raise MessageTooLarge: `data` does not fit one datagram.
        """
        if self.state not in (ConnectionState.OUTGOING, ConnectionState.CONNECTED):
            return []
        self._say_goodbye(data, now)
        self._move(ConnectionState.SHUTDOWN_REQUESTED)
        return [PeerDisconnected(self, DisconnectInfo(DisconnectReason.DISCONNECT_PEER_CALLED))]

    def close(self, info: DisconnectInfo, now: float) -> list[Event]:
        """
        Close without telling the other side.
        """
        was_open = self.state in (ConnectionState.OUTGOING, ConnectionState.CONNECTED)
        if self.state is not ConnectionState.DISCONNECTED:
            self._move(ConnectionState.DISCONNECTED)
            self._goodbye_at = NEVER
            self._forget_at = max(now, self._last_heard + self._config.disconnect_timeout)
        return [PeerDisconnected(self, info)] if was_open else []

    @property
    def unacknowledged(self) -> int:
        """
        Reliable packets queued or under way.
        """
        return sum(channel.unacknowledged for channel in self._channels.values())

    # ------------------------------------------------------------ what happened outside

    def count_received(self, size: int) -> None:
        """
        A datagram of this address has come, whatever is in it.
        """
        self.statistics.packets_received += 1
        self.statistics.bytes_received += size
        self._allowance.received(size)

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
        self._merger = Merger(self.mtu, self.number)
        self._move(ConnectionState.CONNECTED)
        if self._attempts == 0:
            # After a repetition it is not known which request was answered (Karn).
            self.rtt.sample(now - self._last_heard)
        self._last_heard = now
        self._retry_at = NEVER
        self._ping_at = now + self._config.ping_interval
        return [PeerConnected(self)]

    def repeat_answer(self, now: float) -> None:
        """
        The request that made this connection has come again: our answer seems to be lost.
        """
        if self.state is ConnectionState.SHUTDOWN_REQUESTED:
            self._last_heard = now
            self._send_control(self._goodbye)
        elif (
            self.state is ConnectionState.CONNECTED
            # A connection that we dialled has no accept to repeat (PITFALLS D13).
            and self._handshake[0] == PacketProperty.CONNECT_ACCEPT
        ):
            self._send_control(self._handshake)

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
        match data[0] & PROPERTY_MASK:
            case PacketProperty.CHANNELED:
                return self._receive_channeled(data, now)
            case PacketProperty.ACK:
                return self._receive_ack(data, now)
            case PacketProperty.UNRELIABLE:
                return [MessageReceived(self, data[1:], 0, DeliveryMethod.UNRELIABLE)]
            case PacketProperty.MERGED:
                return self._receive_merged(data, now, depth)
            case PacketProperty.PING:
                self._receive_ping(PING.unpack_from(data)[1], now)
            case PacketProperty.PONG:
                return self._receive_pong(PONG.unpack_from(data)[1], now)
            case PacketProperty.MTU_CHECK:
                size = MtuProbe.decode(data).size
                self._send_control(MtuProbe(self.number, size, answer=True).encode())
        return []

    def _receive_channeled(self, data: bytes, now: float) -> list[Event]:
        first, sequence, channel_id = CHANNELED.unpack_from(data)
        if channel_id >= self._config.channels * 4:
            self.statistics.count_drop("no such channel")
            return []
        channel = self._channel(channel_id)
        fragmented = first & FRAGMENTED_FLAG != 0
        ready = channel.receive(sequence, data[CHANNELED_HEADER_SIZE:], fragmented)
        # Also when nothing is ready: an ack may be owed.
        self._busy[channel_id] = channel
        events: list[Event] = []
        for body, is_fragment in ready:
            message: bytes | None = body
            if is_fragment:
                try:
                    message = self._reassembler.receive(body, channel_id)
                except LimitExceeded as error:
                    info = DisconnectInfo(DisconnectReason.LIMIT_EXCEEDED, detail=str(error))
                    self._say_goodbye(b"", now)
                    self._move(ConnectionState.SHUTDOWN_REQUESTED)
                    return [*events, PeerDisconnected(self, info)]
            if message is not None:
                method = DeliveryMethod(channel_id & 3)
                events.append(MessageReceived(self, message, channel_id >> 2, method))
        return events

    def _receive_ack(self, data: bytes, now: float) -> list[Event]:
        channel = self._channels.get(data[3])
        if isinstance(channel, SequencedChannel):
            channel.acknowledge(CHANNELED.unpack_from(data)[1])
            self._busy[channel.channel_id] = channel
            return []
        if channel is None or len(data) != RELIABLE_ACK_SIZE:
            self.statistics.count_drop("ack of nothing")
            return []
        _, start, _, bitmap = RELIABLE_ACK.unpack(data)
        confirmed = channel.acknowledge(start, bitmap, now, self.rtt.resend_delay)
        self._busy[channel.channel_id] = channel
        events: list[Event] = []
        for outgoing in confirmed:
            receipt = outgoing.receipt
            if receipt is not None:
                receipt.missing -= 1
                if not receipt.missing:
                    events.append(MessageDelivered(self, receipt.user_data))
        return events

    def _receive_merged(self, data: bytes, now: float, depth: int) -> list[Event]:
        if depth >= MAX_MERGE_DEPTH:
            raise MalformedPacket("merged too deep")
        events: list[Event] = []
        for packet in split_merged(data):
            # The first that fails ends it; those before stay processed (WIRE §4.4).
            verify(packet)
            if packet[0] >> CONNECTION_NUMBER_SHIFT & 3 != self.number:
                self.statistics.count_drop("connection number")
                continue
            events += self.receive(packet, now, depth + 1)
            if self.state is not ConnectionState.CONNECTED:
                break
        return events

    def _receive_ping(self, sequence: int, now: float) -> None:
        # The reference compares by distance and falls silent for hours (PITFALLS D4).
        if sequence == self._answered_ping:
            return
        self._answered_ping = sequence
        ticks = self._epoch + int(now * TICKS_PER_SECOND)
        self._send_control(Pong(self.number, sequence, ticks).encode())

    def _receive_pong(self, sequence: int, now: float) -> list[Event]:
        if sequence != self._ping_sequence or self._ping_sent_at == NEVER:
            return []
        round_trip = now - self._ping_sent_at
        self._ping_sent_at = NEVER
        self.rtt.sample(round_trip)
        if not self._allowance.proven:
            self._allowance.proven = True
            self._starved = False
            self._ping_at = now + self._config.ping_interval
        return [LatencyUpdated(self, round_trip / 2)]

    # ------------------------------------------------------------ time

    def next_timeout(self) -> float:
        """
        When `handle_timeout` and `poll` have something to do, if nothing happens before.
        """
        match self.state:
            case ConnectionState.OUTGOING:
                return self._retry_at
            case ConnectionState.CONNECTED:
                silence = self._last_heard + self._config.disconnect_timeout
                channels = NEVER if self._starved else self._channel_timeout
                return min(silence, self._ping_at, channels)
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
                if now >= self._ping_at:
                    self._ping(now)
                if now >= self._channel_timeout:
                    for channel_id, channel in self._channels.items():
                        if now >= channel.next_timeout():
                            self._busy[channel_id] = channel
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
        self._retry_at = now + self._config.reconnect_delay
        self._control.append(self._handshake)
        return []

    def _ping(self, now: float) -> None:
        # Modulo 32768, not 65536: the reference answers no sequence that seems older (PITFALLS D4).
        self._ping_sequence = (self._ping_sequence + 1) % MAX_SEQUENCE
        self._ping_sent_at = now
        interval = self._config.ping_interval
        if not self._allowance.proven:
            self._unproven_pings += 1
            interval = min(interval, backed_off(self.rtt.resend_delay, self._unproven_pings))
        self._ping_at = now + interval
        self._send_control(Ping(self.number, self._ping_sequence).encode())

    # ------------------------------------------------------------ what is to be sent

    def poll(self, now: float) -> list[bytes]:
        """
        Datagrams to send now: control packets, acks, data.
        """
        datagrams = self._control
        self._control = []
        if self.state is ConnectionState.CONNECTED and (self._busy or self._unreliable):
            datagrams += self._poll_data(now)
        for datagram in datagrams:
            self.statistics.packets_sent += 1
            self.statistics.bytes_sent += len(datagram)
        return datagrams

    def _poll_data(self, now: float) -> list[bytes]:
        allowance = self._allowance
        merger = self._merger
        # One byte for the header of a merged datagram.
        room = allowance.room - HEADER_SIZE
        busy = self._busy
        self._busy = {}
        self._starved = False
        for channel_id, channel in busy.items():
            resent = channel.resent
            for packet in channel.poll(now, self.rtt, room):
                room -= len(packet) + 2
                merger.add(packet)
            self.statistics.packets_resent += channel.resent - resent
            if not channel.idle or channel.next_timeout() <= now:
                # Only a lack of room stops a channel that has something to send.
                self._busy[channel_id] = channel
                self._starved = True
        unreliable = self._unreliable
        while unreliable and len(unreliable[0]) + 2 <= room:
            room -= len(unreliable[0]) + 2
            merger.add(unreliable.popleft())
        if unreliable:
            self._starved = True
        self._channel_timeout = min(
            [channel.next_timeout() for channel in self._channels.values()], default=NEVER
        )
        datagrams = merger.datagrams()
        for datagram in datagrams:
            allowance.spend(len(datagram))
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

    # ------------------------------------------------------------ inside

    def _channel(self, channel_id: int) -> Channel:
        channel = self._channels.get(channel_id)
        if channel is None:
            method = channel_id & 3
            if method in (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED):
                channel = ReliableChannel(
                    channel_id,
                    self.number,
                    method == DeliveryMethod.RELIABLE_ORDERED,
                    self._config.max_in_flight,
                )
            else:
                channel = SequencedChannel(
                    channel_id, self.number, method == DeliveryMethod.RELIABLE_SEQUENCED
                )
            self._channels[channel_id] = channel
        return channel

    def _move(self, state: ConnectionState) -> None:
        if state not in _MOVES[self.state]:
            raise RudpError(f"a connection does not go from {self.state.name} to {state.name}")
        self.state = state


assert _DISCONNECT_SPACE > DISCONNECT_HEADER_SIZE
assert FRAGMENT.size == 6
