"""
Every seam of the system.  Read this first.

Times are seconds (float), sizes bytes, addresses ``(literal IP, port)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from zope.interface import Attribute, Interface

from p2pnet.rudp.errors import (
    ConnectFailed,
    MessageTooLarge,
    NotConnected,
    QueueFull,
    RudpError,
)
from p2pnet.rudp.events import (
    ConnectionState,
    DisconnectInfo,
    DisconnectReason,
    NatAddressType,
    UnconnectedMessageType,
)
from p2pnet.wire.constants import Address, DeliveryMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred

    from p2pnet.reach.mapping import NatMapping
    from p2pnet.reach.outcome import Outcome
    from p2pnet.rudp.statistics import NetStatistics
    from p2pnet.turn.server import TurnServer
    from p2pnet.wire.ntp import NtpPacket

__all__ = [
    "Address",
    "ConnectFailed",
    "ConnectionState",
    "DeliveryMethod",
    "DialFailed",
    "DisconnectInfo",
    "DisconnectReason",
    "IBus",
    "IConnectionRequest",
    "IDeliveryEventListener",
    "INatPunchListener",
    "INatPunchModule",
    "INetEventListener",
    "INetManager",
    "INetPeer",
    "INtpEventListener",
    "IRegistry",
    "IRelay",
    "IRendezvous",
    "MessageTooLarge",
    "NatAddressType",
    "NotConnected",
    "NtpRequestFailed",
    "QueueFull",
    "Reachability",
    "RelayFailed",
    "RudpError",
    "UnconnectedMessageType",
]


# ------------------------------------------------------- net: what a user of the engine holds


class INetPeer(Interface):
    """
    One connection, as a listener sees it.  Compared by identity.
    """

    id: int = Attribute("Number of this peer in its manager; freed numbers are used again.")
    address: Address = Attribute("Where the peer is, as our socket sees it.")
    state: ConnectionState = Attribute("Where the connection is in its life.")
    round_trip_time: float = Attribute("Smoothed, in seconds; 0.0 before the first measurement.")
    mtu: int = Attribute("Largest datagram, in bytes, now sent to this peer.")
    tag: Any = Attribute("Whatever the application wants to remember here; None at first.")
    unacknowledged: int = Attribute("Reliable packets queued or sent, not known to have arrived.")
    queued_bytes: int = Attribute("Bytes of messages queued or sent, not known to have arrived.")
    in_flight: int = Attribute("Reliable packets sent, not known to have arrived.")
    stalled: float = Attribute("Seconds in which a full window kept something from being sent.")
    statistics: NetStatistics = Attribute("Counters of this connection.")
    time_since_last_packet: float = Attribute("Seconds since anything came from the peer.")
    remote_time_delta: float = Attribute("Seconds by which the peer's clock is ahead of ours.")

    def send(
        data: bytes, method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED, channel: int = 0
    ) -> None:
        """
        Queue one message; it leaves at the end of this reactor turn.

        :raise NotConnected: the peer is not connected.
        :raise MessageTooLarge: see there.
        :raise QueueFull: see there.
        :raise ValueError: no such channel.
        """

    def send_with_delivery_event(
        data: bytes,
        user_data: Any,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        """
        Send, and hear `IDeliveryEventListener.message_delivered` with ``user_data`` when all of it
        has arrived (BEHAVIOUR §8.3).  What is under way when the connection ends is never heard of.

        Raises as `send`.

        :raise ValueError: ``method`` is not RELIABLE_ORDERED or RELIABLE_UNORDERED, or
            ``user_data`` is None.
        """

    def packets_in_reliable_queue(channel: int, ordered: bool) -> int:
        """
        Packets of a reliable channel that have not been sent for the first time yet.
        """

    def max_single_packet_size(method: DeliveryMethod) -> int:
        """
        Bytes that now fit into one packet; longer messages are cut, or raise `MessageTooLarge`
        (WIRE §9).
        """

    def move(address: Address) -> None:
        """
        Go on at another address, where the same peer is known to be.

        Nothing under way is lost: what still comes from the addresses before is taken.

        :raise NotConnected: the connection is over.
        :raise RudpError: there is another connection with that address.
        """

    def disconnect(data: bytes = b"") -> None:
        """
        Close, telling the other side ``data``.  Unacknowledged messages are abandoned.

        Does nothing if it is closing or closed already.

        :raise MessageTooLarge: ``data`` has more than `mtu` - 10 bytes (WIRE §9).
        """

    def disconnect_force() -> None:
        """
        Close without telling the other side.
        """


class IConnectionRequest(Interface):
    """
    Somebody wants to connect.  Decided once; later decisions raise `RudpError`.
    """

    address: Address = Attribute("Where the request came from.")
    data: bytes = Attribute("What the caller handed to `connect`.")

    def accept(listener: INetEventListener | None = None) -> INetPeer:
        """
        Let them in.

        :param listener: hears of this peer instead of the manager's.
        :raise RudpError: the request has expired or was decided, or the manager has stopped.
        """

    def accept_if_key(key: str) -> INetPeer | None:
        """
        Accept if the data begins with the string ``key``, else reject without data (BEHAVIOUR
        §3.2).

        :return: the peer; None if rejected.
        :raise RudpError: as `accept`.
        """

    def reject(data: bytes = b"") -> None:
        """
        Refuse; the other side is told ``data``, again if it asks again.

        :raise RudpError: the request has expired or was decided.
        :raise MessageTooLarge: ``data`` does not fit; the request stays undecided.
        """

    def reject_force(data: bytes = b"") -> None:
        """
        Refuse once and forget; without data nothing at all is sent.

        :raise RudpError: the request has expired or was decided.
        :raise MessageTooLarge: ``data`` has more than 498 bytes (WIRE §9); the request stays
            undecided.
        """


class INetEventListener(Interface):
    """
    What an application hears from its manager (BEHAVIOUR §12).  May call back into it at once.
    """

    def peer_connected(peer: INetPeer) -> None:
        """
        A connection, ours or theirs, is open.
        """

    def peer_disconnected(peer: INetPeer, info: DisconnectInfo) -> None:
        """
        A connection ended, or an attempt of ours failed.  Nothing more comes from `peer`.
        """

    def network_error(address: Address | None, error: OSError) -> None:
        """
        The socket complained: a datagram to ``address`` did not go; without one, none could be
        read.
        """

    def network_receive(peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod) -> None:
        """
        One whole message, fragments put together.

        :param channel: 0 for an UNRELIABLE one, which names no channel (WIRE §4.1).
        """

    def network_receive_unconnected(
        address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        """
        A message from somebody without a connection, if
        `p2pnet.rudp.config.EndpointConfig.unconnected_messages_enabled` or, for a broadcast,
        `p2pnet.rudp.config.EndpointConfig.broadcast_receive_enabled`.
        """

    def network_latency_update(peer: INetPeer, latency: float) -> None:
        """
        Half of the newest round trip, in seconds.
        """

    def connection_request(request: IConnectionRequest) -> None:
        """
        Decide now or later; undecided requests expire after
        `p2pnet.rudp.config.EndpointConfig.request_lifetime`.
        """


class IDeliveryEventListener(Interface):
    """
    Optional facet of a listener: confirmation of messages sent with user data.
    """

    def message_delivered(peer: INetPeer, user_data: Any) -> None:
        """
        The whole message has been acknowledged.
        """


class INtpEventListener(Interface):
    """
    Optional facet of a listener: answers of time servers.
    """

    def ntp_response(packet: NtpPacket) -> None:
        """
        A time server has answered our `create_ntp_request`.
        """


class NtpRequestFailed(RudpError):
    """
    A time server has refused, with the code that is our text, or has not told the time.
    """


class INatPunchListener(Interface):
    """
    What the NAT module tells.
    """

    def nat_introduction_request(internal: Address, external: Address, token: str) -> None:
        """
        We are the facilitator and ``external``, at home ``internal``, asks to be introduced to
        whoever else names ``token``; `INatPunchModule.introduce` does that.
        """

    def nat_introduction_success(target: Address, kind: NatAddressType, token: str) -> None:
        """
        A punch with ``token`` came from ``target``: it can be dialled.  Once per (target, token).
        """


class INatPunchModule(Interface):
    """
    NAT introduction (WIRE §8, BEHAVIOUR §16), all three roles.

    Nothing is received unless `p2pnet.rudp.config.EndpointConfig.nat_punch_enabled`.
    """

    def init(listener: INatPunchListener) -> None:
        """
        Set who hears about introductions.
        """

    def trust(facilitator: Address) -> None:
        """
        Follow introductions that come from this address (PITFALLS C7).

        :raise ValueError: ``facilitator`` is no literal IP and a port.
        """

    def distrust(facilitator: Address) -> None:
        """
        Follow them no more.

        :raise ValueError: ``facilitator`` is no literal IP and a port.
        """

    def expect(token: str) -> None:
        """
        Follow an introduction that carries this token; it is forgotten after
        `p2pnet.rudp.config.EndpointConfig.nat_token_lifetime`.
        """

    def forget(token: str) -> None:
        """
        Stop expecting and stop punching for ``token``.
        """

    def send_introduce_request(facilitator: Address, token: str, internal: Address) -> None:
        """
        Ask to be introduced to whoever else names ``token``; trusts and expects both.

        :param internal: our own address inside our network.
        :raise ValueError: ``token`` has over 256 UTF-16 units or 512 bytes of UTF-8 (WIRE §8), or
            an address is no literal IP and a port.
        """

    def introduce(
        host_internal: Address,
        host_external: Address,
        client_internal: Address,
        client_external: Address,
        token: str,
    ) -> None:
        """
        As facilitator, tell each of two peers where the other one is, a few times over a second.

        :raise ValueError: ``token`` has over 256 UTF-16 units or 512 bytes of UTF-8 (WIRE §8).
        """


class INetManager(Interface):
    """
    All connections behind one UDP port.
    """

    local_port: int = Attribute("The bound UDP port; 0 while stopped.")
    nat: INatPunchModule = Attribute("NAT introduction on this port.")
    peers: Sequence[INetPeer] = Attribute("Connected peers, oldest first.")
    statistics: NetStatistics = Attribute("Counters of this port since the start.")

    def connect(
        address: Address,
        data: bytes | str = b"",
        *,
        listener: INetEventListener | None = None,
        peer_to_peer: bool = False,
    ) -> Deferred[INetPeer]:
        """
        Connect to a LiteNetLib peer.  An open or opening connection with ``address`` is used as it
        is.

        :param address: literal IP and port.
        :param data: what its `INetEventListener.connection_request` sees; a string is written as C#
            ``Connect(key)`` does.
        :param listener: hears of this peer instead of the manager's listener.
        :param peer_to_peer: the other side may be connecting to us at this moment (BEHAVIOUR §3.3).
        :return: the peer, after `INetEventListener.peer_connected`; fails with `ConnectFailed`.
            Cancelling gives up.
        :raise MessageTooLarge: ``data`` does not fit one datagram.
        :raise RudpError: the manager is not running.
        :raise ValueError: ``address`` is no literal IP and a port in 1..65535.
        """

    def send_unconnected(address: Address, data: bytes) -> None:
        """
        One datagram without a connection (WIRE §7); delivered if the other side enabled it.

        :raise MessageTooLarge: over 1431 bytes; no reference peer could read it.
        :raise RudpError: the manager is not running.
        :raise ValueError: ``address`` is no literal IP and a port in 1..65535.
        """

    def send_broadcast(data: bytes, port: int) -> bool:
        """
        One datagram to everybody in this network, by IPv4 broadcast and IPv6 multicast, at once
        (WIRE §7).

        :return: a socket took it.  Whoever enabled it may hear it, ourselves included.
        :raise MessageTooLarge: over 1431 bytes; no reference peer could read it.
        :raise RudpError: the manager is not running.
        :raise ValueError: ``port`` is not in 1..65535.
        """

    def send_to_all(
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
        exclude: INetPeer | None = None,
    ) -> None:
        """
        Send one message to every connected peer but ``exclude``.

        Raises as `INetPeer.send`, after it has been sent to all who can be sent to.
        """

    def disconnect_all(data: bytes = b"") -> None:
        """
        Close all connections, and give up those that are not open yet.

        Raises as `INetPeer.disconnect`, after all have been closed that can be.
        """

    def peer_by_id(id: int) -> INetPeer | None:
        """
        The peer with that number, connected or not yet; None if there is none.
        """

    def create_ntp_request(address: Address) -> Deferred[NtpPacket]:
        """
        Ask a time server, from our own port (WIRE §12): once a second, ten times at most.

        :param address: literal IP and port, which usually is 123.
        :return: its answer, which `INtpEventListener` hears too; fails with `NtpRequestFailed`.
        :raise RudpError: the manager is not running.
        :raise ValueError: it is being asked already, or is no literal IP and a port in 1..65535.
        """

    def share_port(receiver: Callable[[bytes, Address], bool] | None) -> None:
        """
        Let ``receiver`` see each STUN message before the engine does (TRAPS T19).

        :param receiver: takes the datagram and where it came from; true if it was meant for it.
            None: nobody, as at first.
        """

    def send_datagram(address: Address, data: bytes) -> None:
        """
        Put a datagram on the wire at once, past the engine and its packet layer.

        What the socket does not take is lost.

        :param address: literal IP and port.
        :raise RudpError: the manager is not running.
        """

    def open_relay(
        server: TurnServer, receiver: Callable[[bytes, Address], bool]
    ) -> Deferred[IRelay]:
        """
        Get an address on a TURN server, from our own port if the transport is UDP.

        :param receiver: sees what comes over the relay before the engine does: the datagram and
            the address of the peer that sent it; true if it was meant for it.
        :return: fails with `RelayFailed`.  Cancelling gives up.
        """


class RelayFailed(RudpError):
    """
    There is no relay to be had; the text says why, for a person.
    """


class IRelay(Interface):
    """
    Our address on a relay, renewed until it is closed or lost.
    """

    relayed: Address = Attribute("What peers send to.")
    server: TurnServer = Attribute("Where it is.")
    lost: Deferred[str] = Attribute("Fires with a reason when the relay is gone for good.")

    def permit(host: str) -> None:
        """
        Let what comes from a literal IP through, from any port.
        """

    def send(remote: Address, data: bytes) -> None:
        """
        Send a datagram to a permitted peer; it comes from `relayed`.
        """

    def route(remote: Address) -> Address:
        """
        The address under which the engine reaches ``remote`` through this relay.

        It is nowhere in any network, stays the same for the life of the relay, and what comes from
        ``remote`` over the relay appears to the engine to come from it.  Permits ``remote``, too.
        """

    def close() -> Deferred[None]:
        """
        Give the address back; never fails, waits for the server half a second at most.
        """


# ------------------------------------------------------- signaling: how peers meet


class IRegistry(IService, Interface):
    """
    Who is registered, as a service: it can be asked while it runs.  Every backend passes the same
    contract test.

    Records are `p2pnet.signaling.records.Record`.  All methods return Deferreds, and each may fail
    with `p2pnet.signaling.records.RegistryUnavailable`: nothing is lost, and later it may work.
    """

    node: str = Attribute("Which of the daemons that share the registry we are.")
    key: bytes = Attribute("What these daemons seal with; 32 random bytes, while available.")
    available: bool = Attribute("It can be asked now, as far as we know.")
    lease: float = Attribute("Seconds for which a registration is online without a renewal.")
    feed: Any = Attribute("What changes, at all daemons: a `p2pnet.signaling.feed.Feed`.")

    def register(record: Any, secret: str | None, proven: bytes | None = None) -> Deferred[Any]:
        """
        Add or refresh a registration and start its lease anew.

        It is the owner's if ``secret`` is its own, or ``proven`` the key it is bound to, or the one
        its id is made from (`p2pnet.signaling.identity.id_of_key`): that one may even take the id
        from another.  A registration without a key is bound to ``proven`` for good.

        :param record: as the peer wants it; of a refreshed one, a room that is None leaves it where
            it is.
        :param secret: the owner's, for a refresh.  A new registration may bring its own, of
            `p2pnet.signaling.records.MIN_SECRET` characters at least, so that whoever has missed
            the answer can ask again; otherwise it is given one.
        :param proven: the Ed25519 public key whose owner asks.
        :raise p2pnet.signaling.records.NotOwner: the id is taken, and neither fits.
        :raise p2pnet.signaling.records.RegistryFull: no room for another registration.
        :return: `Registration`: the stored record and, if it was given one, its secret.
        """

    def owned(peer_id: str, secret: str | None) -> Deferred[Any]:
        """
        The record of ``peer_id`` if ``secret`` is its own.

        :raise p2pnet.signaling.records.UnknownPeer: no such registration.
        :raise p2pnet.signaling.records.NotOwner: the secret is another's, or missing.
        """

    def unregister(peer_id: str, secret: str | None) -> Deferred[None]:
        """
        Remove a registration.  Raises as `owned`.
        """

    def lookup(peer_id: str) -> Deferred[Any]:
        """
        The record, online or not.

        :raise p2pnet.signaling.records.UnknownPeer: no such registration.
        """

    def listing(
        room: str | None, after: int = 0, limit: int | None = None
    ) -> Deferred[Sequence[Any]]:
        """
        The records in that room, None for those in no room, in order of registration.

        :param after: begin behind the one with this `p2pnet.signaling.records.Record.number`.
        :param limit: how many at most; None for all.
        """

    def named(room: str | None, name: str) -> Deferred[Sequence[Any]]:
        """
        The records in that room, or in none, of those who are called so: see
        `p2pnet.signaling.whom.names_of`.
        """

    def census() -> Deferred[Any]:
        """
        How many there are: a `p2pnet.signaling.records.Census`.
        """

    def associate(peer_id: str, seen: Address) -> Deferred[None]:
        """
        The peer has a UDP association with this daemon, which sees it there: renews the lease, and
        takes the place of an association with another daemon.

        :raise p2pnet.signaling.records.UnknownPeer: no such registration.
        """

    def renew(peer_id: str, seen: Address) -> Deferred[None]:
        """
        It still has: renews the lease.

        :raise p2pnet.signaling.records.UnknownPeer: no such registration, or it is associated with
            another daemon by now.
        """

    def dissociate(peer_id: str) -> Deferred[None]:
        """
        The association with this daemon has ended; the lease has not.  Nothing happens if the peer
        is unknown or has another one by now.
        """

    def set_away(peer_id: str, away: bool) -> Deferred[None]:
        """
        The peer says whether somebody looks.

        :raise p2pnet.signaling.records.UnknownPeer: no such registration.
        """

    def enter(peer_id: str, room: str | None) -> Deferred[None]:
        """
        Bring a peer that was let in into ``room``; None: out of any.

        :raise p2pnet.signaling.records.UnknownPeer: no such registration.
        :raise p2pnet.signaling.records.UnknownRoom: no such room.
        """

    def open_room(room: Any, secret: str) -> Deferred[None]:
        """
        Add a `p2pnet.signaling.records.Room`.  It ends a day after the last one has left it.

        :param secret: unguessable, of whoever may close it.
        :raise p2pnet.signaling.records.RoomTaken: there is one of that name.
        :raise p2pnet.signaling.records.RegistryFull: there are too many.
        """

    def room(name: str) -> Deferred[Any]:
        """
        The `p2pnet.signaling.records.Room` of that name.

        :raise p2pnet.signaling.records.UnknownRoom: there is none.
        """

    def close_room(name: str, secret: str | None) -> Deferred[None]:
        """
        Remove a room.  Its members are in none then.

        :raise p2pnet.signaling.records.UnknownRoom: there is none.
        :raise p2pnet.signaling.records.NotOwner: the secret is another's, or missing.
        """

    def spend(nonce: str, seconds: float) -> Deferred[bool]:
        """
        Use ``nonce`` up at all daemons, for that long.

        :return: nobody did before.
        """


class IBus(Interface):
    """
    Optional facet of a registry that several daemons share: what they say to each other.
    """

    def send(node: str, message: bytes) -> Deferred[bool]:
        """
        Say something to the daemon of that name.

        :return: it is there; else it has gone, or the way there is cut, and this is lost.  Never
            fails.
        """

    def listen(listener: Callable[[str, bytes], None]) -> None:
        """
        Have ``listener`` told what others say to this daemon: the name of who speaks, and the
        message.
        """


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """
    A registered peer, as the daemon shows it to others.

    :ivar address: its best known UDP endpoint; None if it is offline.
    :ivar away: it says that nobody looks, or it has no UDP association at this moment.
    """

    peer_id: str
    username: str
    address: Address | None
    away: bool = False


@dataclass(frozen=True, slots=True)
class Reachability:
    """
    What a stranger finds at an address of ours.

    :ivar address: which was knocked at.
    :ivar answered: something came back.
    :ivar service: what answered, in words: ``LiteNetLib, protocol 11``, ``LiteNetLib, another
        protocol``; None if nothing did.
    :ivar round_trip: seconds; None if nothing came back.
    """

    address: Address
    answered: bool
    service: str | None
    round_trip: float | None


class DialFailed(Exception):
    """
    No conversation came about; the text says why, for a person.

    :ivar reason: one of ``unknown``, ``ambiguous``, ``offline``, ``no-path``, ``rejected``,
        ``self``, ``unavailable``.
    """

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class IRendezvous(Interface):
    """
    What a chat needs of signaling.
    """

    online: bool = Attribute("Registered, and the UDP association stands.")
    external: Address | None = Attribute("Where the daemon sees us; None before it does.")

    nat: NatMapping = Attribute("What our NAT does to our address, as far as observers can tell.")

    away: bool = Attribute("Others are told that nobody looks.")

    def set_away(away: bool) -> None:
        """
        Have others told whether somebody looks; now, or as soon as we are online.
        """

    def peers() -> Deferred[Sequence[KnownPeer]]:
        """
        Everybody registered whom we may see, ourselves included.

        :raise DialFailed: ``unavailable``.
        """

    def find(who: str) -> Deferred[tuple[str, str]]:
        """
        Who is meant by a peer id, a username, or a username with ``#`` and the begin of the id.

        Takes one round trip over the association, where `peers` needs HTTP.

        :return: peer id and username of one online peer that is not ourselves.
        :raise DialFailed: ``unknown``, ``ambiguous``, ``offline``, ``self`` or ``unavailable``.
        """

    def dial(peer_id: str, listener: INetEventListener) -> Deferred[INetPeer]:
        """
        Get introduced to a peer, find a path to it and connect.

        :raise DialFailed: see there.
        """

    def introduced(data: bytes) -> str | None:
        """
        The peer id that connection data ``data`` proves an introduction to, else None.
        """

    def rename(username: str) -> Deferred[None]:
        """
        Change our registered name.

        :raise DialFailed: ``unavailable``.
        """

    def outcome(who: str) -> Outcome | None:
        """
        The record of the last dial of a peer id or username, by whichever side; None without one.
        """

    def probe(port: int | None = None) -> Deferred[Reachability]:
        """
        Have the daemon knock at our own observed address from where we never sent to.

        :param port: another UDP port of that address; None is our socket's own.
        :raise DialFailed: ``unavailable``.
        """
