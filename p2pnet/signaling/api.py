"""
The REST API.  The one file that imports Klein, which installs a reactor when imported.

Errors are ``application/problem+json`` (RFC 9457) and name the field to blame.
"""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from klein import Klein
from klein.resource import KleinResource
from msgspec import UNSET
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from p2pnet.signaling.addresses import host_of, literal_ip
from p2pnet.signaling.introducer import Offline, TooOften
from p2pnet.signaling.records import (
    InvalidField,
    Listing,
    NotOwner,
    Record,
    RegistryFull,
    UnknownPeer,
    valid_peer_id,
    valid_port,
    valid_username,
)
from p2pnet.signaling.shapes import (
    Introduction,
    Listings,
    Problem,
    Registered,
    UdpEndpoint,
    Whereabouts,
    decode,
    encode,
)
from p2pnet.signaling.site import BODY_TOO_LARGE, MAX_BODY, bounded_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.resource import IResource
    from twisted.web.server import Request, Site

    from p2pnet.interfaces import IRegistry
    from p2pnet.signaling.introducer import Introducer
    from p2pnet.signaling.tickets import TicketOffice

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


class SignalingAPI:
    """
    Registration, lookup and introduction over HTTP.

    :param lease: seconds, as the registry was told.
    :param wall: Unix seconds.
    :param clock: monotonic seconds, the same that the registry has.
    :param udp_port: where the daemon's engine listens now.
    :param public_host: under which peers reach that engine; None for the host they asked us under.
    """

    app = Klein()
    # To redirect would be to repeat the client's Host header.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    _log = Logger()

    def __init__(
        self,
        registry: IRegistry,
        introducer: Introducer,
        tickets: TicketOffice,
        *,
        lease: float,
        wall: Callable[[], float],
        clock: Callable[[], float],
        udp_port: Callable[[], int],
        public_host: str | None = None,
    ) -> None:
        self._registry = registry
        self._introducer = introducer
        self._tickets = tickets
        self._lease = lease
        self._wall = wall
        self._clock = clock
        self._udp_port = udp_port
        self._public_host = public_host

    def resource(self) -> IResource:
        """
        The root of the API, for a `Site`; `make_site` makes a suitable one.
        """
        resource: IResource = _Root(self.app)
        return resource

    @app.route("/", methods=["GET"])
    async def _root(self, request: Request) -> bytes:
        online = sum(record.online for record in await self._registry.listing())
        return _answer(
            request,
            {"service": "p2pnet signaling", "status": "running", "peers_online": online},
        )

    @app.route("/status", methods=["GET"])
    async def _status(self, request: Request) -> bytes:
        records = await self._registry.listing()
        return _answer(
            request,
            {
                "status": "running",
                "total_peers": len(records),
                "online_peers": sum(record.online for record in records),
                "peer_list": [
                    {
                        "peer_id": record.peer_id,
                        "username": record.username,
                        "online": record.online,
                    }
                    for record in records
                ],
            },
        )

    @app.route("/peers", methods=["GET"])
    async def _peers(self, request: Request) -> bytes:
        records = await self._registry.listing()
        age = self._wall() - self._clock()
        return _answer(
            request, Listings([_listing(record, age) for record in records], len(records))
        )

    @app.route("/peer/<peer_id>", methods=["GET"])
    async def _peer(self, request: Request, peer_id: str) -> bytes:
        try:
            record: Record = await self._registry.lookup(_path_id(peer_id))
        except UnknownPeer:
            raise Refused(404, "no such peer", field="peer_id") from None
        if not record.online:
            raise Refused(404, "the peer is offline", field="peer_id")
        ip, port = record.endpoint
        observed = record.observed is not None
        return _answer(request, Whereabouts(record.peer_id, record.username, ip, port, observed))

    @app.route("/peer/<peer_id>", methods=["DELETE"])
    async def _delete(self, request: Request, peer_id: str) -> bytes:
        peer_id = _path_id(peer_id)
        secret = _bearer(request)
        try:
            await self._registry.unregister(peer_id, secret)
        except UnknownPeer:
            raise Refused(404, "no such peer", field="peer_id") from None
        except NotOwner:
            raise _not_owner(secret) from None
        self._introducer.forget(peer_id)
        return _answer(request, {"status": "success", "message": f"{peer_id} is unregistered"})

    @app.route("/register", methods=["POST"])
    async def _register(self, request: Request) -> bytes:
        fields = _fields(request)
        record = Record(
            valid_peer_id(_required(fields, "peer_id")),
            valid_username(_required(fields, "username")),
            _caller(request),
            valid_port(_required(fields, "port")),
        )
        secret = _bearer(request)
        try:
            registration = await self._registry.register(record, secret)
        except NotOwner:
            raise _not_owner(secret) from None
        except RegistryFull:
            raise Refused(
                503, "no room for another registration", Retry_After=str(ceil(self._lease))
            ) from None
        new = registration.secret is not None
        answer = Registered(
            "success",
            f"{record.username} is {'registered' if new else 'refreshed'}",
            record.peer_id,
            record.host,
            self._lease,
            UdpEndpoint(self._udp_port(), self._public_host or _reached(request)),
            self._tickets.issue(record.peer_id),
            registration.secret if new else UNSET,
        )
        return _answer(request, answer)

    @app.route("/introduce", methods=["POST"])
    async def _introduce(self, request: Request) -> bytes:
        fields = _fields(request)
        caller = valid_peer_id(_required(fields, "from"), "from")
        callee = valid_peer_id(_required(fields, "to"), "to")
        secret = _bearer(request)
        try:
            await self._registry.owned(caller, secret)
        except NotOwner:
            raise _not_owner(secret, "from") from None
        except UnknownPeer:
            raise _unauthorized("you are not registered", "from") from None
        if caller == callee:
            raise Refused(422, "to must be another peer than from", field="to")
        try:
            offer = await self._introducer.introduce(caller, callee)
        except UnknownPeer:
            raise Refused(404, "no such peer", field="to") from None
        except Offline as offline:
            if offline.peer_id == caller:
                raise Refused(409, "you have no UDP association", field="from") from None
            raise Refused(409, "the peer is offline", field="to") from None
        except TooOften as often:
            raise Refused(
                429, "too many introductions", Retry_After=str(ceil(often.retry_after))
            ) from None
        return _answer(request, Introduction("success", offer.token, offer.peer_id, offer.username))

    @app.handle_errors(Exception)
    def _failed(self, request: Any, failure: Failure) -> bytes:
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            methods = sorted({*(error.valid_methods or ()), "OPTIONS"})
            allowed = ", ".join(methods)
            if request.method == b"OPTIONS":
                request.setResponseCode(HTTPStatus.NO_CONTENT)
                request.setHeader(b"Allow", allowed.encode())
                return b""
            return _problem(request, Refused(405, f"allowed are {allowed}", Allow=allowed))
        if isinstance(error, HTTPException):
            status = error.code or 500
            return _problem(request, Refused(status, HTTPStatus(status).description))
        if isinstance(error, InvalidField):
            return _problem(request, Refused(422, str(error), field=error.field))
        if isinstance(error, Refused):
            return _problem(request, error)
        self._log.failure(
            "{method!r} {uri!r} failed", failure, method=request.method, uri=request.uri
        )
        return _problem(request, Refused(500, "this is our fault; the log knows more"))


def make_site(api: SignalingAPI, reactor: IReactorTime | None = None) -> Site:
    """
    A site that serves `api`, refuses large bodies early and keeps no access log.

    :param reactor: for the time-outs; None for Twisted's global one.
    """
    return bounded_site(api.resource(), reactor)


class _Root(KleinResource):
    """
    Keeps from Klein what it would answer in plain text, or not at all.
    """

    def render(self, request: Any) -> Any:
        try:
            b"/".join(request.postpath).decode()
        except UnicodeDecodeError:
            return _problem(request, Refused(400, "the path is not UTF-8"))
        # Nothing is routed by host, so an odd one is no reason to refuse; Werkzeug would.
        host = _reached(request)
        request.requestHeaders.setRawHeaders("Host", [f"[{host}]" if ":" in host else host])
        return super().render(request)


def _answer(request: Request, body: object, status: int = 200) -> bytes:
    return _respond(request, status, "application/json", body)


def _problem(request: Request, refused: Refused) -> bytes:
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


def _fields(request: Request) -> dict[str, Any]:
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


def _required(fields: dict[str, Any], name: str) -> object:
    if name not in fields:
        raise InvalidField(name, "is missing")
    value: object = fields[name]
    return value


def _header(request: Request, name: bytes) -> str:
    # Any byte may come in a header; Latin-1 takes them all.
    return (request.getHeader(name) or b"").decode("latin-1")


def _path_id(text: str) -> str:
    try:
        return valid_peer_id(text)
    except InvalidField as error:
        raise Refused(404, str(error), field=error.field) from None


def _bearer(request: Request) -> str | None:
    """
    The secret of ``Authorization: Bearer``; None without one.
    """
    scheme, _, secret = _header(request, b"Authorization").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def _unauthorized(detail: str, field: str | None = None) -> Refused:
    return Refused(401, detail, field=field, WWW_Authenticate="Bearer")


def _not_owner(secret: str | None, field: str | None = "peer_id") -> Refused:
    if secret is None:
        return _unauthorized("the registration exists; its secret is needed", field)
    return Refused(403, "this is not the secret of the registration", field=field)


def _caller(request: Request) -> str:
    address = request.getClientAddress()
    if isinstance(address, IPv4Address | IPv6Address):
        return literal_ip(address.host) or LOOPBACK
    return LOOPBACK


def _reached(request: Request) -> str:
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


def _listing(record: Record, age: float) -> Listing:
    ip, port = record.endpoint
    return Listing(
        record.peer_id,
        record.username,
        ip,
        port,
        record.online,
        record.last_seen + age,
        record.observed is not None,
    )
