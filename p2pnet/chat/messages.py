"""
The messages of a conversation, and their bytes.

Each is one UTF-8 JSON object ``{"type", "from", "timestamp", "body"}``: `from` the sender's peer
id (UUID text), `timestamp` unix seconds, and the body by type: hello ``{"username", "version"}``,
message a string of 1..32768 characters, ping and pong ``{"id"}``, disconnect a reason.  Unknown
members are ignored, unknown types decode to `Unknown`, so that later versions can say more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec

from p2pnet.chat.identity import check_username

CHAT_VERSION: Final = "1"
"""What our hello says."""
MAX_TEXT: Final = 32768
"""Characters in one message."""
MAX_VERSION: Final = 64
"""Characters of the version in a hello."""
MAX_REASON: Final = 1024
"""Characters of the reason in a disconnect."""
MAX_PING_ID: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259 §6)."""
MAX_ENCODED: Final = 512 * 1024
"""Bytes of one message: `MAX_TEXT` characters at 12 bytes (an escaped surrogate pair), and room."""


class MalformedMessage(Exception):
    """
    Bytes that are no message; the text says why.  Never leaves `Session`.
    """


@dataclass(frozen=True, slots=True)
class Hello:
    sender: str
    timestamp: float
    username: str
    version: str = CHAT_VERSION


@dataclass(frozen=True, slots=True)
class Text:
    sender: str
    timestamp: float
    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    sender: str
    timestamp: float
    id: int


@dataclass(frozen=True, slots=True)
class Pong:
    sender: str
    timestamp: float
    id: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    sender: str
    timestamp: float
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """
    A well-formed message of a type we do not know.
    """

    sender: str
    timestamp: float
    type: str


Message = Hello | Text | Ping | Pong | Disconnect | Unknown


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    sender: UUID = msgspec.field(name="from")
    timestamp: float
    body: msgspec.Raw = msgspec.Raw(b"null")


class _HelloBody(msgspec.Struct, frozen=True):
    username: str
    version: Annotated[str, msgspec.Meta(max_length=MAX_VERSION)]


class _PingBody(msgspec.Struct, frozen=True):
    id: Annotated[int, msgspec.Meta(ge=0, le=MAX_PING_ID)]


_envelope = msgspec.json.Decoder(_Envelope)
_hello_body = msgspec.json.Decoder(_HelloBody)
_ping_body = msgspec.json.Decoder(_PingBody)
_text_body = msgspec.json.Decoder(Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)])
_reason_body = msgspec.json.Decoder(Annotated[str, msgspec.Meta(max_length=MAX_REASON)])


def _read_hello(sender: str, timestamp: float, body: msgspec.Raw) -> Hello:
    hello = _hello_body.decode(body)
    return Hello(sender, timestamp, check_username(hello.username), hello.version)


def _read_text(sender: str, timestamp: float, body: msgspec.Raw) -> Text:
    return Text(sender, timestamp, _text_body.decode(body))


def _read_ping(sender: str, timestamp: float, body: msgspec.Raw) -> Ping:
    return Ping(sender, timestamp, _ping_body.decode(body).id)


def _read_pong(sender: str, timestamp: float, body: msgspec.Raw) -> Pong:
    return Pong(sender, timestamp, _ping_body.decode(body).id)


def _read_disconnect(sender: str, timestamp: float, body: msgspec.Raw) -> Disconnect:
    return Disconnect(sender, timestamp, _reason_body.decode(body))


_READERS: Final[dict[str, Callable[[str, float, msgspec.Raw], Message]]] = {
    "hello": _read_hello,
    "message": _read_text,
    "ping": _read_ping,
    "pong": _read_pong,
    "disconnect": _read_disconnect,
}


def decode(data: bytes) -> Message:
    """
    The message in `data`.

    :raise MalformedMessage: it holds none.
    """
    if len(data) > MAX_ENCODED:
        raise MalformedMessage(f"{len(data)} bytes, at most {MAX_ENCODED}")
    try:
        envelope = _envelope.decode(data)
        sender = str(envelope.sender)
        reader = _READERS.get(envelope.type)
        if reader is None:
            return Unknown(sender, envelope.timestamp, envelope.type)
        return reader(sender, envelope.timestamp, envelope.body)
    # ValueError is the root of msgspec's errors, of UnicodeDecodeError and of check_username's.
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(str(error)) from error


def encode(message: Message) -> bytes:
    """
    The bytes of `message`.

    :raise ValueError: the text or the reason is too long, or not encodable; names which.
    """
    body: object
    match message:
        case Hello():
            kind, body = "hello", {"username": message.username, "version": message.version}
        case Text():
            if not 1 <= len(message.text) <= MAX_TEXT:
                length = len(message.text)
                raise ValueError(f"text: 1 to {MAX_TEXT} characters, not {length}")
            kind, body = "message", message.text
        case Ping():
            kind, body = "ping", {"id": message.id}
        case Pong():
            kind, body = "pong", {"id": message.id}
        case Disconnect():
            if len(message.reason) > MAX_REASON:
                length = len(message.reason)
                raise ValueError(f"reason: at most {MAX_REASON} characters, not {length}")
            kind, body = "disconnect", message.reason
        case Unknown():
            raise ValueError(f"type: {message.type!r} is not ours to say")
    try:
        return msgspec.json.encode(
            {"type": kind, "from": message.sender, "timestamp": message.timestamp, "body": body}
        )
    except UnicodeEncodeError as error:
        raise ValueError(f"text: {error.reason}") from error
