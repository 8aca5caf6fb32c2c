"""
The probes that open and prove paths: STUN Binding requests under the key of their session.

As ICE's connectivity checks (RFC 8445 §7) with the session's token for a user name, so that any
packet analyser reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pnet.stun.codec import Class, MalformedStun, Message, Method, seal, unseal

if TYPE_CHECKING:
    from p2pnet.wire.constants import Address

TRANSACTION_ID_BITS: Final = 96
MAX_TOKEN: Final = 508
"""Bytes of a token in UTF-8 (RFC 8489 §14.3)."""

_CALLER: Final = "ICE-CONTROLLING"
_CALLEE: Final = "ICE-CONTROLLED"


@dataclass(frozen=True, slots=True)
class Request:
    """
    Are you there?

    :ivar id: 12 unguessable bytes, repeated by the answer.
    :ivar token: of the session.
    :ivar by_caller: who asks is the side that nominates.  Without it, anybody could send us our own
        request back, and with what we answer to that prove an address of his to us.
    :ivar nomination: this path is the one to use, rather than all with a lower number; 0 is none.
    """

    id: bytes
    token: str
    by_caller: bool
    nomination: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """
    I am.

    :ivar seen: where the request came from.
    """

    id: bytes
    seen: Address


def token_of(message: Message) -> str | None:
    """
    The session that a request says to belong to; None if the message is none.
    """
    if message.message_method is not Method.BINDING or message.message_class is not Class.REQUEST:
        return None
    token: str | None = message.attributes.get("USERNAME")
    return token


def encode_request(request: Request, key: bytes) -> bytes:
    """
    The bytes of a request: 68 and the length of the token, or a little more.
    """
    attributes: dict[str, object] = {"USERNAME": request.token}
    if request.nomination:
        attributes["USE-CANDIDATE"] = None
    # Roles are given: nothing needs the tie-breaker that ICE has here (RFC 8445 §7.1.3).
    attributes[_CALLER if request.by_caller else _CALLEE] = request.nomination
    return seal(Message(Method.BINDING, Class.REQUEST, request.id, attributes), key)


def encode_answer(answer: Answer, key: bytes) -> bytes:
    """
    The bytes of an answer: 64, or 76 with an IPv6 address.
    """
    attributes = {"XOR-MAPPED-ADDRESS": answer.seen}
    return seal(Message(Method.BINDING, Class.RESPONSE, answer.id, attributes), key)


def decode(data: bytes, key: bytes) -> Request | Answer:
    """
    Read a probe or its answer.

    :raise MalformedStun: it is none, or not under this key.
    """
    message = unseal(data, key)
    attributes = message.attributes
    if message.message_method is Method.BINDING:
        if message.message_class is Class.REQUEST and "USERNAME" in attributes:
            by_caller = _CALLER in attributes
            if by_caller or _CALLEE in attributes:
                nominates = by_caller and "USE-CANDIDATE" in attributes
                return Request(
                    message.transaction_id,
                    attributes["USERNAME"],
                    by_caller,
                    attributes[_CALLER] if nominates else 0,
                )
        if message.message_class is Class.RESPONSE and "XOR-MAPPED-ADDRESS" in attributes:
            return Answer(message.transaction_id, attributes["XOR-MAPPED-ADDRESS"])
    raise MalformedStun("neither a probe nor an answer to one")
