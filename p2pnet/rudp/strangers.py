"""
What goes to and comes from addresses without a connection.
"""

from __future__ import annotations

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge
from p2pnet.rudp.events import UnconnectedMessageType, UnconnectedReceived
from p2pnet.rudp.output import Output
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.token_bucket import TokenBucket
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import MAX_DATAGRAM_SIZE, Address, PacketProperty
from p2pnet.wire.control import Disconnect, PeerNotFound, ShutdownOk
from p2pnet.wire.packets import Broadcast, UnconnectedMessage
from p2pnet.wire.sockaddr import canonical


class Strangers:
    """
    Answers who has no connection, and passes messages that need none (WIRE §7).

    :param output: takes what there is to send and to tell.
    :param statistics: counts what is dropped.
    :ivar config: may be replaced; for the rate of replies the first one counts.
    """

    def __init__(
        self, config: EndpointConfig, output: Output, statistics: NetStatistics
    ) -> None:
        self.config = config
        self._output = output
        self._statistics = statistics
        self._replies = TokenBucket(config.stray_replies_per_second)

    # ------------------------------------------------------------ what is to be sent

    def send_message(self, address: Address, data: bytes) -> None:
        """
        As `p2pnet.rudp.endpoint.Endpoint.send_unconnected`.
        """
        datagram = UnconnectedMessage(data).encode()
        if len(datagram) > MAX_DATAGRAM_SIZE:
            raise MessageTooLarge(f"{len(data)} bytes unconnected; 1431 are allowed")
        self._output.transmits.append(Transmit(canonical(address), datagram))

    def send_broadcast(self, address: Address, data: bytes) -> None:
        """
        As `p2pnet.rudp.endpoint.Endpoint.send_broadcast`.
        """
        datagram = Broadcast(data).encode()
        if len(datagram) > MAX_DATAGRAM_SIZE:
            raise MessageTooLarge(f"{len(data)} bytes broadcast; 1431 are allowed")
        self._output.transmits.append(Transmit(canonical(address), datagram))

    # ------------------------------------------------------------ what has come

    def receive(self, prop: int, data: bytes, address: Address, now: float) -> None:
        """
        Take a message without a connection, or what belongs to one that we do not have.

        :raise MalformedPacket: the packet contradicts itself.
        """
        match prop:
            case PacketProperty.UNCONNECTED_MESSAGE:
                if self.config.unconnected_messages_enabled:
                    self._tell(address, data, UnconnectedMessageType.BASIC_MESSAGE)
                else:
                    self._statistics.count_drop("unconnected messages disabled")
            case PacketProperty.BROADCAST:
                if self.config.broadcast_receive_enabled:
                    self._tell(address, data, UnconnectedMessageType.BROADCAST)
                else:
                    self._statistics.count_drop("broadcasts disabled")
            case PacketProperty.CONNECT_ACCEPT | PacketProperty.INVALID_PROTOCOL:
                pass
            case PacketProperty.DISCONNECT:
                Disconnect.decode(data)
                self.reply(address, ShutdownOk().encode(), now)
            case PacketProperty.PEER_NOT_FOUND:
                packet = PeerNotFound.decode(data)
                if packet.connection_time is not None and not packet.confirmed:
                    answer = PeerNotFound(packet.connection_time, confirmed=True)
                    self.reply(address, answer.encode(), now)
            case _:
                self._statistics.count_drop("no connection")
                self.reply(address, PeerNotFound().encode(), now)

    def reply(self, address: Address, datagram: bytes, now: float) -> None:
        """
        Answer who is perhaps not there at all.
        """
        # Never larger than what it answers, but there must be an end to it (PITFALLS C11).
        if self._replies.take(now):
            self._output.transmits.append(Transmit(address, datagram))
        else:
            self._statistics.count_drop("too many replies to strangers")

    def _tell(self, address: Address, data: bytes, kind: UnconnectedMessageType) -> None:
        self._output.events.append(UnconnectedReceived(address, data[1:], kind))
