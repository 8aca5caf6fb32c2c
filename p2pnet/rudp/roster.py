"""
Who is at which address, who was there before, and who is about to be forgotten.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from p2pnet.rudp.connection import Connection
from p2pnet.rudp.deadlines import Deadlines
from p2pnet.rudp.errors import NotConnected, RudpError
from p2pnet.rudp.events import ConnectionState, DisconnectInfo, DisconnectReason
from p2pnet.rudp.output import Output
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address, PacketProperty
from p2pnet.wire.control import Disconnect, PeerNotFound, ShutdownOk

_AT_ONCE: Final = 32
"""Connections that are asked for datagrams before these are sent."""
_MAX_FORMER_ADDRESSES: Final = 8
"""Of one connection; more paths than two at once are not in use."""


class Roster:
    """
    The connections of an Endpoint.

    :param output: takes what they have to send and to tell.
    :ivar max_closing: closed connections remembered at once.
    :ivar here: who is at an address.
    :ivar former: who was at an address before it moved; whoever is there now goes first.
    :ivar dirty: who may have something to send, in the order they got it; emptied in place.
    :ivar deadlines: who has to be looked at when.
    """

    def __init__(self, max_closing: int, output: Output) -> None:
        self.max_closing = max_closing
        self.here: dict[Address, Connection] = {}
        self.former: dict[Address, Connection] = {}
        self.dirty: dict[Connection, None] = {}
        self.deadlines = Deadlines()
        self._output = output
        self._closed: dict[Connection, None] = {}
        """Closing and closed connections, oldest first."""

    def take_dirty(self) -> list[Connection]:
        """
        Some that may have something to send, who got it first; they are dirty no more.
        """
        dirty = self.dirty
        if len(dirty) <= _AT_ONCE:
            some = list(dirty)
            dirty.clear()
        else:
            some = list(islice(dirty, _AT_ONCE))
            for connection in some:
                del dirty[connection]
        return some

    def at(self, address: Address) -> Connection | None:
        """
        Who is, or else was, at an address; None if nobody.
        """
        connection = self.here.get(address)
        return self.former.get(address) if connection is None else connection

    @property
    def has_goodbyes(self) -> bool:
        """
        Some peer has not yet confirmed our disconnect.
        """
        return any(c.state is ConnectionState.SHUTDOWN_REQUESTED for c in self._closed)

    # ------------------------------------------------------------ who comes, moves and goes

    def add(self, connection: Connection, now: float) -> None:
        """
        Enter a new connection, in place of another one with its address.
        """
        old = self.here.get(connection.address)
        if old is not None:
            self._poll_last(old, now)
        self.here[connection.address] = connection
        self.dirty[connection] = None

    def move(self, connection: Connection, address: Address, now: float) -> bool:
        """
        Reach a peer at another address from now on; see `p2pnet.rudp.endpoint.Endpoint.move`.

        :return: false if it is the address that it has.
        :raise NotConnected: it is not in state CONNECTED.
        :raise RudpError: there is another connection with that address.
        """
        old = connection.address
        if connection.state is not ConnectionState.CONNECTED:
            raise NotConnected(f"the connection with {old} is {connection.state.name}")
        if address == old:
            return False
        other = self.at(address)
        if other not in (None, connection) and other.state is not ConnectionState.DISCONNECTED:
            raise RudpError(f"there is another connection with {address}")
        connection.move(address, now)
        del self.here[old]
        self.former.pop(address, None)
        self.former[old] = connection
        former = [each for each in connection.former if each not in (address, old)]
        connection.former = [*former, old]
        if len(connection.former) > _MAX_FORMER_ADDRESSES:
            self._leave(connection.former.pop(0), connection)
        self.here[address] = connection
        self.dirty[connection] = None
        return True

    def disconnect(self, connection: Connection, data: bytes, now: float) -> None:
        """
        Close, telling the other side.  Raises as `Connection.disconnect`.
        """
        self._output.events += connection.disconnect(data, now)
        self.dirty[connection] = None
        self.retire(connection, now)

    def close(
        self, connection: Connection, reason: DisconnectReason, data: bytes, now: float
    ) -> None:
        """
        Close without telling the other side.

        :param data: what the other side has said about it.
        """
        self._output.events += connection.close(DisconnectInfo(reason, data), now)
        self.dirty[connection] = None
        self.retire(connection, now)

    def retire(self, connection: Connection, now: float) -> None:
        """
        Remember a closed connection; if there are too many, the oldest one no longer.
        """
        self._closed[connection] = None
        if len(self._closed) > self.max_closing:
            self._poll_last(next(iter(self._closed)), now)

    def forget(self, connection: Connection) -> None:
        """
        Remember a connection no longer.
        """
        self._closed.pop(connection, None)
        self.dirty.pop(connection, None)
        self.deadlines.forget(connection)
        # By identity: a newer connection may have taken the address (PITFALLS D29).
        if self.here.get(connection.address) is connection:
            del self.here[connection.address]
        for address in connection.former:
            self._leave(address, connection)

    def _leave(self, address: Address, connection: Connection) -> None:
        if self.former.get(address) is connection:
            del self.former[address]

    # ------------------------------------------------------------ what they receive and send

    def receive(
        self, prop: int, data: bytes, connection: Connection, address: Address, now: float
    ) -> None:
        """
        Take what ends a connection, or puts it in doubt; all else that comes here is dropped.

        :param address: where it comes from, which may be a former address.
        :raise MalformedPacket: the packet contradicts itself.
        """
        match prop:
            case PacketProperty.DISCONNECT:
                goodbye = Disconnect.decode(data)
                if (
                    goodbye.connection_time != connection.connection_time
                    or goodbye.connection_number != connection.number
                ):
                    connection.statistics.count_drop("disconnect of another connection")
                    return
                reason = DisconnectReason.REMOTE_CONNECTION_CLOSE
                if connection.state is ConnectionState.OUTGOING:
                    reason = DisconnectReason.CONNECTION_REJECTED
                self.close(connection, reason, goodbye.data, now)
                # Answered also if closed before: a lost ShutdownOk must not cost 5 s
                # (PITFALLS D8).  Whoever names the connection is no stranger, and not to suffer
                # for those.
                self._output.transmits.append(Transmit(address, ShutdownOk().encode()))
            case PacketProperty.SHUTDOWN_OK:
                connection.shutdown_confirmed(now)
            case PacketProperty.PEER_NOT_FOUND:
                packet = PeerNotFound.decode(data)
                if connection.state is not ConnectionState.CONNECTED:
                    return
                if packet.connection_time is None:
                    connection.question(now)
                elif packet.confirmed and packet.connection_time == connection.connection_time:
                    self.close(connection, DisconnectReason.REMOTE_CONNECTION_CLOSE, b"", now)
            case PacketProperty.INVALID_PROTOCOL:
                self._output.events += connection.doubt_protocol(now)
            case _ if connection.state is not ConnectionState.CONNECTED:
                # After our own disconnect event nothing more is delivered (PITFALLS D15).
                connection.statistics.count_drop("not connected")
            case _:
                connection.statistics.count_drop("connection number")

    def poll(self, connection: Connection, now: float) -> None:
        """
        Take what one of them has to send now.
        """
        transmits = self._output.transmits
        address = connection.address
        path = connection.path
        if path.control:
            for datagram in path.control:
                transmits.append(Transmit(address, datagram))
            path.control = []
        datagrams = connection.poll(now)
        if datagrams:
            mtu = connection.mtu
            for datagram in datagrams:
                # Made for a path that took larger ones than it does now.
                large = len(datagram) > mtu
                transmits.append(Transmit(address, datagram, None, large))

    def _poll_last(self, connection: Connection, now: float) -> None:
        # Its goodbye may not have left yet.
        self.poll(connection, now)
        self.forget(connection)
