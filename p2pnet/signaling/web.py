"""
Reads requests of the REST API and writes its answers.

Errors are ``application/problem+json`` (RFC 9457) and name the field to blame.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address

from p2pnet.signaling.addresses import host_of, literal_ip
from p2pnet.signaling.records import InvalidField, valid_peer_id
from p2pnet.signaling.shapes import Problem, decode, encode
from p2pnet.signaling.site import BODY_TOO_LARGE, MAX_BODY

if TYPE_CHECKING:
    from twisted.web.server import Request

LOOPBACK: Final = "127.0.0.1"
"""Who calls without an IP, over a UNIX socket, is on this machine."""


class Refused(Exception):
    """
    The request is answered with an error.

    :ivar problem: what to say.
    :ivar headers: what the status asks for, such as Allow.
    """

    def __init__(
        self, status: int, detail: str, *, field: str | None = None, **headers: str
    ) -> None:
        self.problem = Problem.of(status, detail, field)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(detail)


def reply(request: Request, body: object) -> bytes:
    """
    The body of an answer of status 200; what it has to say besides is set.
    """
    return _respond(request, 200, "application/json", body)


def reply_refused(request: Request, refused: Refused) -> bytes:
    """
    The body of an answer that is an error; what it has to say besides is set.
    """
    for name, value in refused.headers.items():
        request.setHeader(name.encode(), value.encode())
    problem = refused.problem
    return _respond(request, problem.status, "application/problem+json", problem)


def _respond(request: Request, status: int, content_type: str, body: object) -> bytes:
    data = encode(body)
    # Twisted has no words for some of them, such as 422.
    request.setResponseCode(status, HTTPStatus(status).phrase.encode())
    request.setHeader(b"Content-Type", content_type.encode())
    request.setHeader(b"Content-Length", b"%d" % len(data))
    # Answers hold secrets, and who is online changes.
    request.setHeader(b"Cache-Control", b"no-store")
    return data


def fields_of(request: Request) -> dict[str, Any]:
    """
    The JSON object that is the body.

    :raise Refused: there is none, or it is too large.
    """
    content_type = _header(request, b"Content-Type")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "the Content-Type must be application/json")
    # Our own site has refused a large body already; another one may not have.
    body = request.content.read(MAX_BODY + 1) if request.content else b""
    if len(body) > MAX_BODY:
        raise Refused(413, BODY_TOO_LARGE)
    try:
        fields: dict[str, Any] = decode(body, dict[str, Any])
    except ValueError as error:
        raise Refused(400, f"the body is not a JSON object: {error}") from None
    return fields


def required(fields: dict[str, Any], name: str) -> object:
    """
    What the body says in that field.

    :raise InvalidField: nothing.
    """
    if name not in fields:
        raise InvalidField(name, "is missing")
    value: object = fields[name]
    return value


def _header(request: Request, name: bytes) -> str:
    # Any byte may come in a header; Latin-1 takes them all.
    return (request.getHeader(name) or b"").decode("latin-1")


def path_id(text: str) -> str:
    """
    The peer id in a path.

    :raise Refused: it is none, so that nobody is found there.
    """
    try:
        return valid_peer_id(text)
    except InvalidField as error:
        raise Refused(404, str(error), field=error.field) from None


def bearer(request: Request) -> str | None:
    """
    The secret of ``Authorization: Bearer``; None without one.
    """
    scheme, _, secret = _header(request, b"Authorization").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def unauthorized(detail: str, field: str | None = None) -> Refused:
    """
    A secret is needed.
    """
    return Refused(401, detail, field=field, WWW_Authenticate="Bearer")


def not_owner(secret: str | None, field: str = "peer_id") -> Refused:
    """
    A secret is needed, or is another one's.
    """
    if secret is None:
        return unauthorized("the registration exists; its secret is needed", field)
    return Refused(403, "this is not the secret of the registration", field=field)


def caller_of(request: Request) -> str:
    """
    Where the request came from, as HTTP shows it: a literal IP.
    """
    address = request.getClientAddress()
    if isinstance(address, IPv4Address | IPv6Address):
        return literal_ip(address.host) or LOOPBACK
    return LOOPBACK


def reached(request: Request) -> str:
    """
    The host under which the caller reached us: as it says, if that can be one.
    """
    named = host_of(_header(request, b"Host"))
    if named is not None:
        return named
    address = request.getHost()
    if isinstance(address, IPv4Address | IPv6Address):
        return literal_ip(address.host) or LOOPBACK
    return LOOPBACK
