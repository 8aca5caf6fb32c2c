"""
The messages of a conversation, and their bytes.

Each is one UTF-8 JSON object ``{"type", "from", "timestamp", "body"}``: ``from`` the sender's peer
id (UUID text), ``timestamp`` unix seconds, and the body by type: hello ``{"username", "version",
"received", "resumes"}``, message a string of 1..32768 characters, received, ping and pong
``{"id"}``, disconnect a reason.  A message has its number in ``id`` beside the body, where version
1 does not look.  Unknown members are ignored, unknown types decode to `Unknown`, so that later
versions can say more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec

from p2pnet.chat.identity import check_username

CHAT_VERSION: Final = "2"
"""What our hello says."""
MAX_TEXT: Final = 32768
"""Characters in one message."""
MAX_VERSION: Final = 64
"""Characters of the version in a hello."""
MAX_REASON: Final = 1024
"""Characters of the reason in a disconnect."""
MAX_ID: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259 §6)."""
MAX_ENCODED: Final = 512 * 1024
"""Bytes of one message: `MAX_TEXT` characters at 12 bytes (an escaped surrogate pair), and room."""


class MalformedMessage(Exception):
    """
    Bytes that are no message; the text says why.  Never leaves `Session`.
    """


@dataclass(frozen=True, slots=True)
class Hello:
    """
    Who we are; the first message of either side, and again after a change of name.

    :ivar version: of the chat; at most 64 characters.
    :ivar received: the last number that came from the other side; None of who does not count, as in
        version 1.
    :ivar resumes: goes on with a conversation whose connection broke.
    """

    sender: str
    timestamp: float
    username: str
    version: str = CHAT_VERSION
    received: int | None = None
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """
    What a person said.

    :ivar text: 1 to 32768 characters.
    :ivar id: its number, 1 to `MAX_ID`, growing; None from who does not count.
    """

    sender: str
    timestamp: float
    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """
    We have every `Text` up to one.

    :ivar id: that of the text.
    """

    sender: str
    timestamp: float
    id: int


@dataclass(frozen=True, slots=True)
class Ping:
    """
    Are you listening?

    :ivar id: 0 to `MAX_ID`; the pong repeats it.
    """

    sender: str
    timestamp: float
    id: int


@dataclass(frozen=True, slots=True)
class Pong:
    """
    The answer to a `Ping`.

    :ivar id: that of the ping.
    """

    sender: str
    timestamp: float
    id: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """
    Goodbye.

    :ivar reason: at most 1024 characters.
    """

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


Message = Hello | Text | Received | Ping | Pong | Disconnect | Unknown
"""What `decode` returns; in each, ``sender`` is a UUID text and ``timestamp`` unix seconds."""


_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    sender: UUID = msgspec.field(name="from")
    timestamp: float
    body: msgspec.Raw = msgspec.Raw(b"null")
    # What it is in other messages, later versions will say.
    id: msgspec.Raw = msgspec.Raw(b"null")


class _HelloBody(msgspec.Struct, frozen=True):
    username: str
    version: Annotated[str, msgspec.Meta(max_length=MAX_VERSION)]
    received: _Number | None = None
    resumes: bool = False


class _NumberBody(msgspec.Struct, frozen=True):
    id: _Number


_envelope = msgspec.json.Decoder(_Envelope)
_hello_body = msgspec.json.Decoder(_HelloBody)
_number_body = msgspec.json.Decoder(_NumberBody)
_text_id = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)] | None)
_text_body = msgspec.json.Decoder(Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)])
_reason_body = msgspec.json.Decoder(Annotated[str, msgspec.Meta(max_length=MAX_REASON)])


def _read_hello(sender: str, envelope: _Envelope) -> Hello:
    hello = _hello_body.decode(envelope.body)
    name = check_username(hello.username)
    return Hello(sender, envelope.timestamp, name, hello.version, hello.received, hello.resumes)


def _read_text(sender: str, envelope: _Envelope) -> Text:
    text = _text_body.decode(envelope.body)
    return Text(sender, envelope.timestamp, text, _text_id.decode(envelope.id))


def _read_received(sender: str, envelope: _Envelope) -> Received:
    return Received(sender, envelope.timestamp, _number_body.decode(envelope.body).id)


def _read_ping(sender: str, envelope: _Envelope) -> Ping:
    return Ping(sender, envelope.timestamp, _number_body.decode(envelope.body).id)


def _read_pong(sender: str, envelope: _Envelope) -> Pong:
    return Pong(sender, envelope.timestamp, _number_body.decode(envelope.body).id)


def _read_disconnect(sender: str, envelope: _Envelope) -> Disconnect:
    return Disconnect(sender, envelope.timestamp, _reason_body.decode(envelope.body))


_READERS: Final[dict[str, Callable[[str, _Envelope], Message]]] = {
    "hello": _read_hello,
    "message": _read_text,
    "received": _read_received,
    "ping": _read_ping,
    "pong": _read_pong,
    "disconnect": _read_disconnect,
}


def decode(data: bytes) -> Message:
    """
    The message in ``data``.

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
        return reader(sender, envelope)
    # ValueError is the root of msgspec's errors, of UnicodeDecodeError and of check_username's.
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(str(error)) from error


def check_text(text: str) -> int:
    """
    The bytes that ``text`` has in UTF-8.

    :raise ValueError: it cannot be said: too long, empty, or not encodable.
    """
    if not 1 <= len(text) <= MAX_TEXT:
        raise ValueError(f"text: 1 to {MAX_TEXT} characters, not {len(text)}")
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"text: {error.reason}") from error


def encode(message: Message) -> bytes:
    """
    The bytes of ``message``.

    :raise ValueError: the text or the reason is too long, or not encodable; names which.
    """
    body: object
    more: dict[str, object] = {}
    match message:
        case Hello():
            kind, body = "hello", _hello(message)
        case Text():
            check_text(message.text)
            kind, body = "message", message.text
            if message.id is not None:
                more = {"id": message.id}
        case Received():
            kind, body = "received", {"id": message.id}
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
    head = {"type": kind, "from": message.sender, "timestamp": message.timestamp}
    try:
        return msgspec.json.encode(head | more | {"body": body})
    except UnicodeEncodeError as error:
        raise ValueError(f"{kind}: {error.reason}") from error


def _hello(hello: Hello) -> dict[str, object]:
    body: dict[str, object] = {"username": hello.username, "version": hello.version}
    if hello.received is not None:
        body |= {"received": hello.received, "resumes": hello.resumes}
    return body
