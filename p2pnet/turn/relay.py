"""
What goes through an allocation, to whom and from whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from p2pnet.stun.codec import Class, Message, Method, address_in
from p2pnet.turn.backlog import Backlog
from p2pnet.turn.channel_data import decode_channel_data, encode_channel_data
from p2pnet.turn.channels import Channels
from p2pnet.turn.events import DataReceived, Event, PermissionRefused, Permitted
from p2pnet.turn.peers import peer_address, peer_ip
from p2pnet.turn.permissions import Permissions
from p2pnet.turn.transactions import Question, Refusal, Success, Unusable, transaction_id
from p2pnet.wire.constants import Address

MAX_DATA: Final = 65_468
"""Bytes in one datagram to a peer: a Send indication around it still fits a UDP datagram."""


class Relay:
    """
    Permissions, channels and data of one standing allocation.

    :param relayed: the address of it; peers have the same family.
    :param max_peers: permitted IPs, and peers with a channel.
    :param max_queued_bytes: of data that the server does not let through yet.
    :param random: ``random(k)`` gives k unguessable bits.
    :param padded: data on channels is filled up to a multiple of four.
    :param dropped: counts what is not sent, by reason.
    """

    def __init__(
        self,
        relayed: Address,
        *,
        max_peers: int,
        max_queued_bytes: int,
        random: Callable[[int], int],
        padded: bool,
        dropped: Counter[str],
    ) -> None:
        self._relayed = relayed
        self._random = random
        self._padded = padded
        self._dropped = dropped
        self._permissions = Permissions(max_peers)
        self._channels = Channels(max_peers, random)
        self._backlog = Backlog(max_queued_bytes)
        self._out: list[bytes] = []

    # ------------------------------------------------------------ commands

    def permit(self, ip: str, now: float) -> None:
        """
        See `Allocation.permit`.
        """
        self._permissions.want(peer_ip(ip, self._relayed), now)

    def revoke(self, ip: str) -> list[Address]:
        """
        See `Allocation.revoke`.  What the server may be asked about needs no answer any more.
        """
        ip = peer_ip(ip, self._relayed)
        subjects = [(ip, 0), *self._channels.peers(ip)]
        self._permissions.forget(ip)
        self._shut_out(ip, "peer revoked")
        return subjects

    def send(self, peer: Address, data: bytes, now: float) -> None:
        """
        See `Allocation.send`.
        """
        if len(data) > MAX_DATA:
            raise ValueError(f"a datagram has {MAX_DATA} bytes at most, not {len(data)}")
        # A peer with a channel has been checked before.
        if self._channels.bound(peer, now) is None:
            peer = peer_address(peer, self._relayed)
            ip = peer[0]
            if self._permissions.is_refused(ip, now):
                self._dropped["peer refused"] += 1
                return
            self._permissions.want(ip, now)
            self._channels.want(peer, now)
            if self._channels.bound(peer, now) is None and not self._permissions.stands(ip, now):
                if not self._backlog.put(peer, data):
                    self._dropped["queue full"] += 1
                return
        self._relay(peer, data, now)

    def give_up(self) -> None:
        """
        Count what will never be sent.
        """
        waiting = self._backlog.count()
        if waiting:
            self._dropped["allocation over"] += waiting

    # ------------------------------------------------------------ what happened outside

    def receive_channel_data(self, data: bytes) -> Event:
        """
        Take a message that begins as channel data does.

        :raise MalformedChannelData: it does not go on like that.
        :raise Unusable: that channel is nobody's.
        """
        number, payload = decode_channel_data(data)
        peer = self._channels.peer_of(number)
        if peer is None:
            raise Unusable("unbound channel")
        return DataReceived(peer, payload)

    def receive_indication(self, message: Message) -> Event:
        """
        Take a Data indication.

        :raise Unusable: it carries no data, or that of somebody who is not permitted.
        """
        peer = address_in(message, "XOR-PEER-ADDRESS")
        payload: bytes | None = message.attributes.get("DATA")
        if peer is None or payload is None:
            # Such as one that passes on an ICMP error (RFC 8656 §11.5).
            raise Unusable("indication without data")
        if not self._permissions.wants(peer[0]):
            raise Unusable("peer not permitted")
        return DataReceived(peer, payload)

    def succeeded(self, peer: Address, answer: Success, now: float) -> list[Event]:
        """
        The server has agreed to a question about `peer`.
        """
        if answer.question.method is Method.CHANNEL_BIND:
            self._channels.granted(peer, answer.asked_at)
            self._flush(peer, now)
            return []
        ip = peer[0]
        news = self._permissions.granted(ip, answer.asked_at, now)
        for waiting in self._backlog.peers(ip):
            self._flush(waiting, now)
        return [Permitted(ip)] if news else []

    def refused(self, peer: Address, refusal: Refusal, now: float) -> list[Event]:
        """
        It has not.
        """
        if refusal.question.method is Method.CHANNEL_BIND:
            self._channels.failed(peer, refusal.code, now)
            return []
        ip = peer[0]
        if not self._permissions.failed(ip, refusal.code, now):
            return []
        self._shut_out(ip, "peer refused")
        return [PermissionRefused(ip, refusal.reason)]

    # ------------------------------------------------------------ what is to be done outside

    def due(self, now: float) -> list[Question]:
        """
        Questions whose time has come; each is given once.
        """
        questions = []
        for ip in self._permissions.due(now):
            peer = (ip, 0)
            attributes: dict[str, Any] = {"XOR-PEER-ADDRESS": peer}
            questions.append(Question(Method.CREATE_PERMISSION, attributes, peer))
        for peer, number in self._channels.due(now):
            attributes = {"CHANNEL-NUMBER": number, "XOR-PEER-ADDRESS": peer}
            questions.append(Question(Method.CHANNEL_BIND, attributes, peer))
        return questions

    def next_timeout(self) -> float:
        """
        When a question is due; ``inf`` if none is.
        """
        return min(self._permissions.next_timeout(), self._channels.next_timeout())

    def messages_to_send(self) -> list[bytes]:
        """
        Data for the server to pass on.
        """
        out = self._out
        self._out = []
        return out

    # ------------------------------------------------------------ inside

    def _relay(self, peer: Address, data: bytes, now: float) -> None:
        number = self._channels.bound(peer, now)
        if number is not None:
            self._out.append(encode_channel_data(number, data, self._padded))
            return
        attributes = {"XOR-PEER-ADDRESS": peer, "DATA": data}
        identity = transaction_id(self._random)
        self._out.append(bytes(Message(Method.SEND, Class.INDICATION, identity, attributes)))

    def _flush(self, peer: Address, now: float) -> None:
        for data in self._backlog.take(peer):
            self._relay(peer, data, now)

    def _shut_out(self, ip: str, reason: str) -> None:
        for peer in self._backlog.peers(ip):
            self._dropped[reason] += len(self._backlog.take(peer))
        for peer in self._channels.peers(ip):
            self._channels.forget(peer)
