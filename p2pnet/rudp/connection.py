"""
One connection: its state, its timers, and what it is made of (BEHAVIOUR §2-§7).
"""

from __future__ import annotations

from typing import Any, Final

from p2pnet.rudp.allowance import Allowance
from p2pnet.rudp.challenge import Challenge
from p2pnet.rudp.config import Surroundings
from p2pnet.rudp.errors import MessageTooLarge, NotConnected, RudpError
from p2pnet.rudp.events import (
    ConnectionState,
    DisconnectInfo,
    DisconnectReason,
    Event,
    PeerConnected,
    PeerDisconnected,
)
from p2pnet.rudp.heartbeat import FIRST_PING
from p2pnet.rudp.inbox import Inbox
from p2pnet.rudp.outbox import Outbox
from p2pnet.rudp.path import Path
from p2pnet.rudp.rtt import NEVER
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.traffic import Traffic
from p2pnet.wire.constants import Address, DeliveryMethod, PacketProperty
from p2pnet.wire.control import ConnectAccept, ConnectRequest, Disconnect, PeerNotFound

_DOUBTS: Final = 2
"""ConnectRequests that may stay unanswered after an InvalidProtocol."""
_SHUTDOWN_REPEAT: Final = 0.3
_CONNECTED: Final = ConnectionState.CONNECTED
"""For where there is no time to look it up."""
_CALLED: Final = DisconnectInfo(DisconnectReason.DISCONNECT_PEER_CALLED)
_DISCONNECT_SPACE: Final = 10
"""A Disconnect must stay below the MTU: 9 bytes of header, and one (WIRE §9)."""

_MOVES: Final = {
    ConnectionState.OUTGOING: (
        ConnectionState.CONNECTED,
        ConnectionState.SHUTDOWN_REQUESTED,
        ConnectionState.DISCONNECTED,
    ),
    ConnectionState.CONNECTED: (ConnectionState.SHUTDOWN_REQUESTED, ConnectionState.DISCONNECTED),
    ConnectionState.SHUTDOWN_REQUESTED: (ConnectionState.DISCONNECTED,),
    ConnectionState.DISCONNECTED: (),
}
"""From each state, where a connection may go (BEHAVIOUR §2)."""


class Connection:
    """
    Everything about one remote address, from the first datagram until it is forgotten.

    Made by the functions of `p2pnet.rudp.opening`.  `p2pnet.rudp.receiving.receive` takes its
    packets, its `path` and `poll` give the datagrams to send, `handle_timeout` runs what is due at
    `next_timeout`.

    :ivar address: where the remote is.
    :ivar former: where it was before, oldest first; kept by the `p2pnet.rudp.roster.Roster`.
    :ivar connection_time: the connection's secret: .NET ticks chosen by who dialled.
    :ivar number: 0..3, tells this connection from earlier ones of the same address.
    :ivar state: where it is in its life; only this class changes it.
    :ivar opens_peer_to_peer: the remote may dial us while we dial it.
    :ivar statistics: its counters.
    :ivar last_heard: when the last packet came that kept it alive.
    :ivar path: the way to the remote: what is pinged, probed and proven.
    :ivar rtt: how long the remote's answers take.
    :ivar traffic: queues and windows of the messages.
    :ivar inbox: what the remote sends.
    :ivar outbox: what we send.
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
        self.statistics = NetStatistics(surroundings.total)
        self.last_heard = now
        self.path = Path(surroundings, allowance, number, first_ping)
        self.rtt = self.path.rtt
        self._config = surroundings.config
        self._allowance = allowance
        self._begin_traffic(number)

        self._word = b""
        """What opens or ends the connection: our ConnectRequest, ConnectAccept or Disconnect."""
        self._repeat_at = NEVER
        self._attempts = 0
        self._doubts = 0
        """Retries left before we believe that the remote speaks another protocol."""
        self._forget_at = NEVER
        self._challenge: Challenge | None = None
        self._followed_by = now
        """When a remote that is alive has moved as we have, and knows us where we are."""

    def _begin_traffic(self, number: int) -> None:
        config, statistics = self._config, self.statistics
        self.traffic = traffic = Traffic(config, number)
        self.inbox = Inbox(config, traffic, statistics)
        self.outbox = Outbox(config, traffic, self.path.discovery.mtu, statistics)

    # ------------------------------------------------------------ commands

    def say(self, word: bytes, repeat_at: float) -> None:
        """
        Send what opens or ends the connection; it is repeated at that time, and whenever the remote
        asks for it again.
        """
        self._word = word
        self._repeat_at = repeat_at
        self.path.say(word)

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
        self.outbox.send(data, method, channel, user_data)

    def disconnect(
        self, data: bytes, now: float, info: DisconnectInfo = _CALLED
    ) -> list[Event]:
        """
        Close, and repeat ``data`` until the other side says that it knows.

        Unacknowledged messages are abandoned.  Does nothing if already closing.

        :param info: for our own side.
        :raise MessageTooLarge: ``data`` does not fit one datagram.
        """
        if self.state not in (ConnectionState.OUTGOING, ConnectionState.CONNECTED):
            return []
        self.say_goodbye(data, now)
        self._move(ConnectionState.SHUTDOWN_REQUESTED)
        return [PeerDisconnected(self, info)]

    def close(self, info: DisconnectInfo, now: float) -> list[Event]:
        """
        Close without telling the other side.

        :return: `PeerDisconnected` with ``info``, unless that has been told before.
        """
        was_open = self.state in (ConnectionState.OUTGOING, ConnectionState.CONNECTED)
        if self.state is not ConnectionState.DISCONNECTED:
            self._move(ConnectionState.DISCONNECTED)
            self._forget_at = max(now, self.last_heard + self._config.disconnect_timeout)
        return [PeerDisconnected(self, info)] if was_open else []

    def say_goodbye(self, data: bytes, now: float) -> None:
        """
        Say, and repeat, that the connection is over; for state SHUTDOWN_REQUESTED.

        :raise MessageTooLarge: ``data`` does not fit one datagram.
        """
        if len(data) > self.mtu - _DISCONNECT_SPACE:
            raise MessageTooLarge(
                f"{len(data)} bytes with a disconnect; {self.mtu - _DISCONNECT_SPACE} are allowed"
            )
        self.last_heard = now
        goodbye = Disconnect(self.number, self.connection_time, data).encode()
        # To who has not proven its address we speak only when spoken to (PITFALLS C1).
        self.say(goodbye, now + _SHUTDOWN_REPEAT if self._allowance.proven else NEVER)

    def move(self, address: Address, now: float) -> None:
        """
        Go on at ``address``, where the remote has proven to be.

        For state CONNECTED.  What is under way stays so; how large a datagram the new path takes is
        found out anew.
        """
        self.address = address
        self._followed_by = now + self._config.disconnect_timeout
        self.path.move(now)
        self.outbox.mtu = self.mtu

    @property
    def mtu(self) -> int:
        """
        The largest datagram now sent to this peer, in bytes, without what a packet layer adds.
        """
        return self.path.discovery.mtu

    @property
    def unacknowledged(self) -> int:
        """
        Reliable packets queued or under way.
        """
        return self.traffic.unacknowledged

    @property
    def remote_time_delta(self) -> float:
        """
        How far the remote's clock is ahead of ours, in seconds.
        """
        return self.path.remote_time_delta

    # ------------------------------------------------------------ what happened outside

    def count_received(self, size: int) -> None:
        """
        A datagram of this address has come, whatever is in it.
        """
        statistics = self.statistics
        statistics.packets_received += 1
        statistics.bytes_received += size
        if not self._allowance.proven:
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
        if accept.connection_number != self.number:
            self.number = self.path.number = accept.connection_number
            self._begin_traffic(self.number)
        self._move(ConnectionState.CONNECTED)
        if self._attempts == 0:
            # After a repetition it is not known which request was answered (Karn).
            self.rtt.sample(now - self.last_heard)
        self.last_heard = now
        self.path.open(now)
        return [PeerConnected(self)]

    def repeat_answer(self, now: float) -> bytes | None:
        """
        The request that made this connection has come again, our answer seems to be lost: the
        datagram to answer with, None if there is none.
        """
        if self.state is ConnectionState.SHUTDOWN_REQUESTED:
            self.last_heard = now
        elif (
            self.state is not ConnectionState.CONNECTED
            # A connection that we dialled has no accept to repeat (PITFALLS D13).
            or self._word[0] != PacketProperty.CONNECT_ACCEPT
        ):
            return None
        return self._word if self._allowance.spend(len(self._word)) else None

    def question(self, now: float) -> None:
        """
        The other side does not know us, it says: ask whether it means this connection (WIRE §6).

        Not after we have moved: until it does so, too, it knows nobody where we are now.
        """
        if now >= self._followed_by:
            self.path.say(PeerNotFound(self.connection_time).encode())

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
        Somebody at an address of our peer's asks for a new connection: find out whether our peer is
        still there.

        :param size: of the request, in bytes.
        """
        if self._challenge is not None:
            self._challenge.follow(request, size, address)
            return
        challenge = Challenge(request, size, address, now, 2 * self.rtt.resend_delay)
        self._challenge = challenge
        self.path.ping(now)
        # One more on the way: a ping is as easily lost as a request is forged.
        heartbeat = self.path.heartbeat
        heartbeat.next_at = min(heartbeat.next_at, now + challenge.patience / 4)

    def still_there(self, round_trip: float, now: float) -> None:
        """
        Our peer has answered a ping after so many seconds.
        """
        if self._challenge is not None and self._challenge.is_answered(round_trip, now):
            self._challenge = None

    def unanswered_challenge(self, now: float) -> Challenge | None:
        """
        The request that may have its way because our peer was silent; None if there is none.
        """
        challenge = self._challenge
        if challenge is None or now < challenge.until:
            return None
        self._challenge = None
        return challenge

    def shutdown_confirmed(self, now: float) -> None:
        """
        A ShutdownOk has come.
        """
        if self.state is ConnectionState.SHUTDOWN_REQUESTED:
            self.close(_CALLED, now)

    # ------------------------------------------------------------ time

    def next_timeout(self) -> float:
        """
        When `handle_timeout` and `poll` have something to do, if nothing happens before.
        """
        if self.state is _CONNECTED:
            path = self.path
            deadline = min(
                self.last_heard + self._config.disconnect_timeout,
                path.heartbeat.next_at,
                self.outbox.next_timeout(),
                path.discovery.next_at,
            )
            challenge = self._challenge
            return deadline if challenge is None else min(deadline, challenge.until)
        match self.state:
            case ConnectionState.OUTGOING:
                return self._repeat_at
            case ConnectionState.SHUTDOWN_REQUESTED:
                return min(self.last_heard + self._config.disconnect_timeout, self._repeat_at)
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
                if now >= self.last_heard + self._config.disconnect_timeout:
                    return self.close(DisconnectInfo(DisconnectReason.TIMEOUT), now)
                self.path.handle_timeout(now)
                self.outbox.handle_timeout(now)
            case ConnectionState.SHUTDOWN_REQUESTED:
                if now >= self.last_heard + self._config.disconnect_timeout:
                    self.shutdown_confirmed(now)
                elif now >= self._repeat_at:
                    self.say(self._word, now + _SHUTDOWN_REPEAT)
        return []

    def is_forgotten(self, now: float) -> bool:
        """
        Closed, and remembered for long enough.
        """
        return self.state is ConnectionState.DISCONNECTED and now >= self._forget_at

    def _retry(self, now: float) -> list[Event]:
        if now < self._repeat_at:
            return []
        self._attempts += 1
        if self._attempts > self._config.max_connect_attempts:
            return self.close(DisconnectInfo(DisconnectReason.CONNECTION_FAILED), now)
        if self._doubts:
            self._doubts -= 1
            if not self._doubts:
                return self.close(DisconnectInfo(DisconnectReason.INVALID_PROTOCOL), now)
        self.say(self._word, now + self._config.reconnect_delay)
        return []

    # ------------------------------------------------------------ what is to be sent

    def poll(self, now: float) -> list[bytes]:
        """
        Datagrams with acks and messages to send now, after what stands in `Path.control`.
        """
        outbox = self.outbox
        if self.state is not _CONNECTED or not outbox.is_waiting:
            return []
        allowance = self._allowance
        datagrams = outbox.poll(now, self.rtt, allowance.room)
        if not allowance.proven:
            for datagram in datagrams:
                allowance.spend(len(datagram))
        if outbox.lost_size:
            datagrams += self.path.lost(outbox.lost_size, now)
        return datagrams

    def _move(self, state: ConnectionState) -> None:
        if state not in _MOVES[self.state]:
            raise RudpError(f"a connection does not go from {self.state.name} to {state.name}")
        self.state = state
