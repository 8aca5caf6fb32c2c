"""
Where we differ from the C# library on purpose, found out by watching what a replayed party is fed.

Nothing here knows a recording by name.  `Excuses.before` looks at a datagram together with the
state that our engine is in, and notes what the library did that we do not, or the other way
round.  Each rule names its reason; docs/quirks.md lists them all.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import ConnectionState
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.wire.constants import MAX_SEQUENCE, WINDOW_SIZE, Address, DeliveryMethod
from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.control import ConnectRequest, Disconnect
from p2pnet.wire.header import MalformedPacket, first_byte, minimum_size, verify
from p2pnet.wire.nat import NatIntroduceResponse, NatPunch, parse_nat
from p2pnet.wire.packets import CHANNELED, FRAGMENT, RELIABLE_ACK, parse
from p2pnet.wire.sequence import distance
from tests.rudp.recording import parts

Fact = tuple[Hashable, ...]

_CLOSING = (ConnectionState.SHUTDOWN_REQUESTED, ConnectionState.DISCONNECTED)


@dataclass
class Excuses:
    """
    :ivar missing: facts of the recording that our side may lack, each so many times.
    :ivar extra: facts of ours that the recording may lack.
    :ivar cuts: from this time on nothing of an address, or of one channel id there, is compared.
    :ivar acks: every ack that would be true at some moment.  The library may send one while it is
        inside a merged datagram, because its ticks come from another thread.
    :ivar silent: addresses from which a pong came that answers none of our pings, or a late one;
        what the library measured there we may not have.
    """

    missing: Counter[Fact] = field(default_factory=Counter)
    extra: Counter[Fact] = field(default_factory=Counter)
    cuts: dict[tuple[Address, int | None], float] = field(default_factory=dict)
    acks: set[bytes] = field(default_factory=set)
    silent: set[Address] = field(default_factory=set)
    challenged: dict[Address, Connection] = field(default_factory=dict)
    _receivers: dict[tuple[Address, int, int], _Receiver] = field(default_factory=dict)
    _messages: dict[tuple[Address, int, int], _Message] = field(default_factory=dict)
    _forgotten: dict[Address, tuple[float, float]] = field(default_factory=dict)
    _introduced: set[str] = field(default_factory=set)
    _punched: set[tuple[Address, str]] = field(default_factory=set)
    _tokens: set[str] = field(default_factory=set)

    def cut(self, address: Address, at: float, channel_id: int | None = None) -> None:
        self.cuts.setdefault((address, channel_id), at)

    def is_cut(self, address: Address, at: float, channel_id: int | None = None) -> bool:
        keys = {(address, None), (address, channel_id)}
        return any(self.cuts.get(key, float("inf")) <= at for key in keys)

    def forgotten(self, connection: Connection, timeout: float) -> None:
        """
        Note when we forget a closed connection, and how much later the library may.
        """
        at = connection.next_timeout() * 1000
        self._forgotten[connection.address] = at, at + timeout * 1000 * 0.08 + 30

    def too_early(self, address: Address) -> None:
        """
        Note a datagram that the library's socket may have come too late for.
        """
        self.extra["PEER_NOT_FOUND", address, bytes((P.PEER_NOT_FOUND,))] += 1

    def _is_remembered_longer(self, address: Address, at: float) -> bool:
        start, end = self._forgotten.get(address, (0.0, 0.0))
        return start <= at < end

    def expects_token(self, token: str) -> None:
        self._tokens.add(token)

    # ------------------------------------------------------------ before our engine sees it

    def before(
        self,
        data: bytes,
        address: Address,
        at: float,
        connection: Connection | None,
        pending: IncomingRequest | None,
        config: EndpointConfig,
        last_ping: int,
    ) -> None:
        """
        Note what will differ because of this datagram.

        :param last_ping: the sequence of our latest ping there.
        """
        if not data:
            return
        prop = data[0] & 0x1F
        if connection is None and self._is_remembered_longer(address, at):
            # Timers of the library run up to 6 % late (BEHAVIOUR §1): it still knows the peer.
            self.extra["PEER_NOT_FOUND", address, bytes((P.PEER_NOT_FOUND,))] += 1
        if prop == 18 and connection is None:
            # PITFALLS D17: the library takes property 18 for a packet of a connection.
            self.missing["PEER_NOT_FOUND", address, bytes((P.PEER_NOT_FOUND,))] += 1
        if prop >= len(P) or len(data) < minimum_size(prop, bool(data[0] & 0x80)):
            return
        if prop == P.CONNECT_REQUEST:
            self._request(data, address, at, connection, pending)
        elif prop == P.DISCONNECT:
            goodbye = Disconnect.decode(data)
            if (
                connection is not None
                and connection.state in _CLOSING
                and goodbye.connection_time == connection.connection_time
                and goodbye.connection_number == connection.number
            ):
                # PITFALLS D8: the library stays silent, which costs the other side 5 s.
                self.extra["SHUTDOWN_OK", address, bytes((P.SHUTDOWN_OK,))] += 1
        elif prop == P.NAT_MESSAGE and config.nat_punch_enabled:
            self._nat(data, address)
        elif connection is not None:
            number = data[0] >> 5 & 3
            if number != connection.number:
                return
            fatal = False
            for packet in parts(data):
                try:
                    kind = verify(packet)
                except MalformedPacket:
                    return
                if packet[0] >> 5 & 3 != number:
                    continue
                if fatal:
                    # PITFALLS D16: an exception ends the library's reading of this datagram.
                    self.cut(address, at)
                fatal |= kind == P.CHANNELED and packet[3] == config.channels * 4
                self._connected(kind, packet, address, at, connection, last_ping)

    def _request(
        self,
        data: bytes,
        address: Address,
        at: float,
        connection: Connection | None,
        pending: IncomingRequest | None,
    ) -> None:
        try:
            request = ConnectRequest.decode(data)
        except MalformedPacket:
            if data[13] in (16, 28) and ConnectRequest.protocol_of(data) == 11:
                # PITFALLS A4: the library completes a cut request from an old buffer.
                self.cut(address, at)
            return
        if request.protocol_id != 11:
            return
        time = request.connection_time
        if connection is not None:
            if (
                connection.state is ConnectionState.SHUTDOWN_REQUESTED
                and time == connection.connection_time
            ):
                # PITFALLS D9: for the library this is a new request, with another number.
                self.missing["connreq", address, request.data] += 1
                self.cut(address, at)
            elif connection.state in (ConnectionState.CONNECTED, ConnectionState.OUTGOING):
                self.challenged[address] = connection
        if pending is not None and time > pending.time:
            # PITFALLS D11: we replace the request whole, so the application hears of it again.
            self.extra["connreq", address, request.data] += 1

    def refused_again(
        self, data: bytes, address: Address, at: float, is_refused: Callable[[int], bool]
    ) -> None:
        """
        Note a request that we have turned down for good and do not hear again.
        """
        try:
            request = parse(data)
        except MalformedPacket:
            return
        if isinstance(request, ConnectRequest) and is_refused(request.connection_time):
            # PITFALLS D10: the library asks the application anew at every repetition.
            self.missing["connreq", address, request.data] += 1
            self.cut(address, at)

    def still_there(self, address: Address, connection: Connection, at: float) -> None:
        """
        A request from where we have a connection has not replaced it.
        """
        if connection.state is ConnectionState.CONNECTED:
            reason = "Reconnect"
        else:
            reason = "PeerToPeerConnection"
        # PITFALLS C2, C3: the library ends what it has before anybody has authorised the request.
        self.missing["disconnected", address, reason, b""] += 1
        self.cut(address, at)

    def _nat(self, data: bytes, address: Address) -> None:
        try:
            packets = parse_nat(data[1:])
        except MalformedPacket:
            return
        for packet in packets:
            if isinstance(packet, NatIntroduceResponse):
                if packet.token in self._tokens:
                    self._introduced.add(packet.token)
                else:
                    # PITFALLS C7: nobody asked, so we punch nowhere.
                    self.missing["nat", "any punch", packet.token] += 1
            elif isinstance(packet, NatPunch):
                kind = "External" if packet.is_external else "Internal"
                first = (address, packet.token) not in self._punched
                if packet.token not in self._introduced or not first:
                    # PITFALLS C7: success only for who we were introduced to, and once.
                    self.missing["nat_success", address, kind, packet.token] += 1
                elif first:
                    self._punched.add((address, packet.token))

    # ------------------------------------------------------------ packets of a connection

    def _connected(
        self,
        prop: int,
        packet: bytes,
        address: Address,
        at: float,
        connection: Connection,
        last_ping: int,
    ) -> None:
        if connection.state is ConnectionState.SHUTDOWN_REQUESTED and prop == P.PING:
            # PITFALLS D15: the library still answers after its own disconnect event.
            sequence = struct.unpack_from("<H", packet, 1)[0]
            self.missing["PONG", address, connection.connection_time, sequence] += 1
        if connection.state is not ConnectionState.CONNECTED:
            return
        if prop == P.PONG and struct.unpack_from("<H", packet, 1)[0] != last_ping:
            # The library takes a pong for sequence 1 before it has sent any ping; and its timers
            # run up to 6 % late, so that our next ping may already be under way.
            self.silent.add(address)
        if prop == P.CHANNELED:
            _, sequence, channel_id = CHANNELED.unpack_from(packet)
            if channel_id & 1 == 0:
                self._reliable(packet, sequence, channel_id, address, at, connection)
            elif channel_id & 3 == DeliveryMethod.RELIABLE_SEQUENCED:
                first = first_byte(P.ACK, connection.number)
                self.acks.add(CHANNELED.pack(first, sequence, channel_id))
                self.acks.add(CHANNELED.pack(first, 0, channel_id))

    def _reliable(
        self,
        packet: bytes,
        sequence: int,
        channel_id: int,
        address: Address,
        at: float,
        connection: Connection,
    ) -> None:
        key = address, connection.connection_time, channel_id
        receiver = self._receivers.setdefault(key, _Receiver())
        verdict = receiver.receive(sequence)
        first = first_byte(P.ACK, connection.number)
        self.acks.add(RELIABLE_ACK.pack(first, receiver.start, channel_id, receiver.bitmap))
        if verdict is None:
            # PITFALLS D1: the library lets expected + 64 in; its channel never recovers.
            self.cut(address, at, channel_id)
        elif verdict and packet[0] & 0x80:
            self._fragment(packet, channel_id, address, at, connection)

    def _fragment(
        self,
        packet: bytes,
        channel_id: int,
        address: Address,
        at: float,
        connection: Connection,
    ) -> None:
        identity, part, total = FRAGMENT.unpack_from(packet, 4)
        key = address, connection.connection_time, identity
        message = self._messages.setdefault(key, _Message(total, channel_id))
        if message.total == 0 and total != 0:
            # PITFALLS B1: a total of 0 makes the id useless for the library, not for us.
            self.cut(address, at, channel_id)
        if part >= message.total or part in message.parts or channel_id != message.channel_id:
            return
        message.parts[part] = packet[10:]
        message.contradictory |= total != message.total
        if len(message.parts) == message.total:
            del self._messages[key]
            if message.contradictory:
                # PITFALLS B1: we reject a part that names another total.
                body = b"".join(message.parts[i] for i in range(message.total))
                method = DeliveryMethod(channel_id & 3)
                self.missing["received", address, method, body] += 1


@dataclass
class _Receiver:
    """
    The receiving half of the library's reliable channel, defects and all (BEHAVIOUR §6.3).
    """

    expected: int = 0
    early: set[int] = field(default_factory=set)
    start: int = 0
    bitmap: int = 0

    def receive(self, sequence: int) -> bool | None:
        """
        Whether it is new; None if it kills the channel.
        """
        if sequence >= MAX_SEQUENCE:
            return False
        ahead = distance(sequence, self.expected)
        if ahead == WINDOW_SIZE:
            return None
        if not 0 <= ahead < WINDOW_SIZE or sequence in self.early:
            return False
        self.early.add(sequence)
        while distance(sequence, self.start) >= WINDOW_SIZE:
            self.bitmap &= ~(1 << self.start % WINDOW_SIZE)
            self.start = (self.start + 1) % MAX_SEQUENCE
        self.bitmap |= 1 << sequence % WINDOW_SIZE
        while self.expected in self.early:
            self.early.remove(self.expected)
            self.expected = (self.expected + 1) % MAX_SEQUENCE
        return True


@dataclass
class _Message:
    """
    A message of which some parts have come, as the library sees it (BEHAVIOUR §8.2).
    """

    total: int
    channel_id: int
    parts: dict[int, bytes] = field(default_factory=dict)
    contradictory: bool = False
