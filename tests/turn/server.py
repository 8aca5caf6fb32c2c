"""
A TURN server for one client in virtual time, as strict as RFC 8656 lets it be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

from p2pnet.stun.codec import Class, Message, Method, parse, seal
from p2pnet.turn.channel_data import decode_channel_data, encode_channel_data, is_channel_data
from p2pnet.turn.credentials import long_term_key
from p2pnet.wire.constants import Address

USER = "alice"
PASSWORD = "opensesame"
REALM = "example.org"
RELAYED: Address = ("192.0.2.1", 49_152)
MAPPED: Address = ("198.51.100.7", 40_000)
PERMISSION_LIFETIME = 300.0
CHANNEL_LIFETIME = 600.0
CHANNEL_REST = 300.0


@dataclass
class Seen:
    """
    One message of the client.
    """

    at: float
    message: Message

    @property
    def method(self) -> Method:
        """
        What it asks for, or indicates.
        """
        return self.message.message_method


@dataclass
class Allocated:
    """
    What the client has of the server.
    """

    until: float
    identity: bytes
    permissions: dict[str, float] = field(default_factory=dict)
    channels: dict[int, tuple[Address, float]] = field(default_factory=dict)


class TurnServer:
    """
    Takes what the client sends, gives what it is to be sent.

    :param nonce_lifetime: seconds until a nonce is stale.
    :param max_lifetime: seconds, the most that is granted.
    :ivar refusing: the error to answer a method with.
    :ivar silent: methods that get no answer.
    :ivar relayed: what peers have got, each with its time.
    :ivar breaches: what the client must not do and did.
    """

    def __init__(self, nonce_lifetime: float = inf, max_lifetime: int = 3600) -> None:
        self._random = Random(1)
        self._nonce_lifetime = nonce_lifetime
        self._max_lifetime = max_lifetime
        self._key = long_term_key(USER, REALM, PASSWORD)
        self._nonces: dict[bytes, float] = {}
        self.allocated: Allocated | None = None
        self.refusing: dict[Method, int] = {}
        self._sweep_at = -inf
        self.silent: set[Method] = set()
        self.seen: list[Seen] = []
        self.relayed: list[tuple[float, Address, bytes]] = []
        self.carried: list[str] = []
        """How each of them came: over a channel, or in an indication."""
        self.breaches: list[str] = []

    def restart(self) -> None:
        """
        Forget everything.
        """
        self.allocated = None
        self._nonces.clear()

    def times(self, method: Method) -> list[float]:
        """
        When messages of this method came.
        """
        return [seen.at for seen in self.seen if seen.method is method]

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """
        Take a datagram of the client.
        """
        self._expire(now)
        if is_channel_data(data):
            number, payload = decode_channel_data(data)
            self._relay_channel(number, payload, now)
            return []
        message = parse(data)
        self.seen.append(Seen(now, message))
        if message.message_class is Class.INDICATION:
            if message.message_method is Method.SEND:
                peer: Address = message.attributes["XOR-PEER-ADDRESS"]
                self._pass_on(peer, message.attributes["DATA"], "indication", now)
            return []
        if message.message_method in self.silent:
            return []
        return [self._answer(message, now)]

    def data_from(self, peer: Address, data: bytes, now: float) -> list[bytes]:
        """
        What the client gets when a peer sends to the relayed address.
        """
        self._expire(now)
        if self.allocated is None or peer[0] not in self.allocated.permissions:
            return []
        for number, (bound, until) in self.allocated.channels.items():
            if bound == peer and now < until:
                return [encode_channel_data(number, data, padded=False)]
        return [indication(peer, data)]

    def _answer(self, request: Message, now: float) -> bytes:
        attributes = request.attributes
        if "MESSAGE-INTEGRITY" not in attributes:
            return self.challenge(request, 401, now)
        if attributes["USERNAME"] != USER or not request.check_message_integrity(self._key):
            return self.challenge(request, 401, now)
        if self._nonces.get(attributes["NONCE"], -inf) <= now:
            return self.challenge(request, 438, now)
        code = self.refusing.get(request.message_method) or self._objection(request)
        if code:
            return seal(reply(request, Class.ERROR, {"ERROR-CODE": (code, "No")}), self._key)
        return seal(reply(request, Class.RESPONSE, self._grant(request, now)), self._key)

    def challenge(self, request: Message, code: int, now: float) -> bytes:
        """
        Tell a realm and a fresh nonce.
        """
        nonce = self._random.randbytes(8).hex().encode()
        self._nonces[nonce] = now + self._nonce_lifetime
        attributes = {"ERROR-CODE": (code, "Who?"), "REALM": REALM, "NONCE": nonce}
        return bytes(reply(request, Class.ERROR, attributes))

    def _objection(self, request: Message) -> int:
        if request.message_method is Method.ALLOCATE:
            known = self.allocated
            return 437 if known and known.identity != request.transaction_id else 0
        if self.allocated is None:
            return 437
        if request.message_method is Method.CHANNEL_BIND:
            number = request.attributes["CHANNEL-NUMBER"]
            peer = request.attributes["XOR-PEER-ADDRESS"]
            for other, (bound, _) in self.allocated.channels.items():
                if (other == number) != (bound == peer):
                    self.breaches.append(f"{number:x} is {bound}'s, {peer} has {other:x}")
                    return 400
        return 0

    def _grant(self, request: Message, now: float) -> dict[str, Any]:
        attributes = request.attributes
        lifetime = min(attributes.get("LIFETIME", 600), self._max_lifetime)
        match request.message_method:
            case Method.ALLOCATE:
                assert attributes["REQUESTED-TRANSPORT"] == 17 << 24
                if self.allocated is None:
                    self.allocated = Allocated(now + lifetime, request.transaction_id)
                return {
                    "XOR-RELAYED-ADDRESS": RELAYED,
                    "XOR-MAPPED-ADDRESS": MAPPED,
                    "LIFETIME": lifetime,
                }
            case Method.REFRESH:
                assert self.allocated is not None
                self.allocated.until = now + lifetime
                self._expire(now)
                return {"LIFETIME": lifetime}
            case Method.CREATE_PERMISSION | Method.CHANNEL_BIND:
                assert self.allocated is not None
                peer = attributes["XOR-PEER-ADDRESS"]
                self.allocated.permissions[peer[0]] = now + PERMISSION_LIFETIME
                if request.message_method is Method.CHANNEL_BIND:
                    number = attributes["CHANNEL-NUMBER"]
                    assert 0x4000 <= number <= 0x4FFF
                    self.allocated.channels[number] = peer, now + CHANNEL_LIFETIME
                return {}
        raise AssertionError(f"{request} is no request of a client")

    def _relay_channel(self, number: int, data: bytes, now: float) -> None:
        channels = self.allocated.channels if self.allocated else {}
        if number not in channels or channels[number][1] <= now:
            self.breaches.append(f"data on {number:x}, which is not bound")
        else:
            self._pass_on(channels[number][0], data, "channel", now)

    def _pass_on(self, peer: Address, data: bytes, how: str, now: float) -> None:
        if self.allocated is None or peer[0] not in self.allocated.permissions:
            self.breaches.append(f"data for {peer}, who is not permitted")
        else:
            self.relayed.append((now, peer, data))
            self.carried.append(how)

    def _expire(self, now: float) -> None:
        known = self.allocated
        if known is None:
            return
        if known.until <= now:
            self.allocated = None
            return
        known.permissions = {ip: until for ip, until in known.permissions.items() if until > now}
        if now < self._sweep_at:
            return
        self._sweep_at = now + 1.0
        # A number that has run out is kept for the rest that RFC 8656 §12 demands of the client.
        known.channels = {
            number: (peer, until)
            for number, (peer, until) in known.channels.items()
            if until + CHANNEL_REST > now
        }


def reply(request: Message, kind: Class, attributes: dict[str, Any]) -> Message:
    """
    An answer to `request`, not sealed.
    """
    return Message(request.message_method, kind, request.transaction_id, attributes)


def indication(peer: Address, data: bytes) -> bytes:
    """
    Data that comes without a channel.
    """
    attributes = {"XOR-PEER-ADDRESS": peer, "DATA": data}
    return bytes(Message(Method.DATA, Class.INDICATION, bytes(12), attributes))
