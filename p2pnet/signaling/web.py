"""
Reads requests of the REST API and writes its answers.

Errors are ``application/problem+json`` (RFC 9457) and name the field to blame.
"""

from __future__ import annotations

from base64 import b64decode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from p2pnet.signaling.addresses import host_of
from p2pnet.signaling.records import InvalidField, valid_peer_id
from p2pnet.signaling.shapes import Problem, decode, encode
from p2pnet.signaling.site import BODY_TOO_LARGE, MAX_BODY, ip_of

if TYPE_CHECKING:
    from twisted.web.server import Request

    from p2pnet.signaling.rest.problems import Kind

MAX_CREDENTIAL: Final = 512
"""Characters of a secret that somebody shows."""


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

    @classmethod
    def because(
        cls, kind: Kind, detail: str, *, field: str | None = None, **headers: str
    ) -> Refused:
        """
        The same, with a problem of a type of its own.
        """
        refused = cls(kind.status, detail, field=field, **headers)
        refused.problem = Problem(kind.uri, kind.title, kind.status, detail, field)
        return refused

    def plain(self) -> Problem:
        """
        The problem as it was before there were types.
        """
        return Problem.of(self.problem.status, self.problem.detail, self.problem.field)


def respond(
    request: Request, status: int, content_type: str, data: bytes, caching: str = "no-store"
) -> bytes:
    """
    The body of an answer; what it has to say besides is set.

    :param caching: ``no-store`` where answers hold secrets, or who is online.
    """
    # Twisted has no words for some of them, such as 422.
    request.setResponseCode(status, HTTPStatus(status).phrase.encode())
    request.setHeader(b"Content-Type", content_type.encode())
    request.setHeader(b"Content-Length", b"%d" % len(data))
    request.setHeader(b"Cache-Control", caching.encode())
    # No browser is to take JSON for anything else.
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    return data


def respond_refused(request: Request, refused: Refused, problem: Problem | None = None) -> bytes:
    """
    The body of an answer that is an error; what it has to say besides is set.

    :param problem: to be told instead of its own.
    """
    for name, value in refused.headers.items():
        request.setHeader(name.encode(), value.encode())
    problem = problem or refused.problem
    return respond(request, problem.status, "application/problem+json", encode(problem))


def body_of(request: Request) -> bytes:
    """
    The body, which says that it is JSON.

    :raise Refused: it does not, or it is too large.
    """
    content_type = header(request, b"Content-Type")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "the Content-Type must be application/json")
    # Our own site has refused a large body already; another one may not have.
    body: bytes = request.content.read(MAX_BODY + 1) if request.content else b""
    if len(body) > MAX_BODY:
        raise Refused(413, BODY_TOO_LARGE)
    return body


def fields_of(request: Request) -> dict[str, Any]:
    """
    The JSON object that is the body.

    :raise Refused: there is none, or it is too large.
    """
    body = body_of(request)
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


def header(request: Request, name: bytes) -> str:
    """
    What a header says; empty without it.
    """
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
    scheme, _, secret = header(request, b"Authorization").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def credentials(request: Request) -> tuple[str, str] | None:
    """
    Name and secret of ``Authorization: Basic`` (RFC 7617); None without them.
    """
    scheme, _, encoded = header(request, b"Authorization").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, secret) if colon and 0 < len(secret) <= MAX_CREDENTIAL else None


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
    return ip_of(request.getClientAddress())


def reached(request: Request) -> str:
    """
    The host under which the caller reached us: as it says, if that can be one.
    """
    named = host_of(header(request, b"Host"))
    if named is not None:
        return named
    return ip_of(request.getHost())
