"""
The REST API.  The one file that imports Klein, which installs a reactor when imported.

Errors are ``application/problem+json`` (RFC 9457) and name the field to blame.
"""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any

from klein import Klein
from klein.resource import KleinResource
from msgspec import UNSET
from twisted.logger import Logger
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from p2pnet.signaling.allowance import TooOften
from p2pnet.signaling.attendance import Offline
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
    Probed,
    Registered,
    UdpEndpoint,
    Whereabouts,
)
from p2pnet.signaling.site import bounded_site
from p2pnet.signaling.web import (
    Refused,
    bearer,
    caller_of,
    fields_of,
    not_owner,
    path_id,
    reached,
    reply,
    reply_refused,
    required,
    unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.resource import IResource
    from twisted.web.server import Request, Site

    from p2pnet.interfaces import IRegistry
    from p2pnet.signaling.introducer import Introducer
    from p2pnet.signaling.prober import Prober
    from p2pnet.signaling.tickets import TicketOffice
    from p2pnet.signaling.turn import RelayLogins


class SignalingAPI:
    """
    Registration, lookup, introduction and probes over HTTP.

    :param relays: what registered peers are told of TURN servers.
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
        prober: Prober,
        relays: RelayLogins,
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
        self._prober = prober
        self._relays = relays
        self._lease = lease
        self._wall = wall
        self._clock = clock
        self._udp_port = udp_port
        self._public_host = public_host

    def resource(self) -> IResource:
        """
        The root of the API, for a ``Site``; `make_site` makes a suitable one.
        """
        resource: IResource = _Root(self.app)
        return resource

    @app.route("/", methods=["GET"])
    async def _root(self, request: Request) -> bytes:
        online = sum(record.online for record in await self._registry.listing())
        return reply(
            request,
            {"service": "p2pnet signaling", "status": "running", "peers_online": online},
        )

    @app.route("/status", methods=["GET"])
    async def _status(self, request: Request) -> bytes:
        records = await self._registry.listing()
        return reply(
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
                "nat": self._introducer.attendance.mappings(),
            },
        )

    @app.route("/peers", methods=["GET"])
    async def _peers(self, request: Request) -> bytes:
        records = await self._registry.listing()
        age = self._wall() - self._clock()
        return reply(
            request, Listings([_listing(record, age) for record in records], len(records))
        )

    @app.route("/peer/<peer_id>", methods=["GET"])
    async def _peer(self, request: Request, peer_id: str) -> bytes:
        try:
            record: Record = await self._registry.lookup(path_id(peer_id))
        except UnknownPeer:
            raise Refused(404, "no such peer", field="peer_id") from None
        if not record.online:
            raise Refused(404, "the peer is offline", field="peer_id")
        ip, port = record.endpoint
        observed = record.observed is not None
        return reply(request, Whereabouts(record.peer_id, record.username, ip, port, observed))

    @app.route("/peer/<peer_id>", methods=["DELETE"])
    async def _delete(self, request: Request, peer_id: str) -> bytes:
        peer_id = path_id(peer_id)
        secret = bearer(request)
        try:
            await self._registry.unregister(peer_id, secret)
        except UnknownPeer:
            raise Refused(404, "no such peer", field="peer_id") from None
        except NotOwner:
            raise not_owner(secret) from None
        self._introducer.attendance.forget(peer_id)
        return reply(request, {"status": "success", "message": f"{peer_id} is unregistered"})

    @app.route("/register", methods=["POST"])
    async def _register(self, request: Request) -> bytes:
        fields = fields_of(request)
        record = Record(
            valid_peer_id(required(fields, "peer_id")),
            valid_username(required(fields, "username")),
            caller_of(request),
            valid_port(required(fields, "port")),
        )
        secret = bearer(request)
        try:
            registration = await self._registry.register(record, secret)
        except NotOwner:
            raise not_owner(secret) from None
        except RegistryFull:
            raise Refused(
                503, "no room for another registration", Retry_After=str(ceil(self._lease))
            ) from None
        answer = Registered(
            "success",
            f"{record.username} is {'registered' if registration.is_new else 'refreshed'}",
            record.peer_id,
            record.host,
            self._lease,
            UdpEndpoint(self._udp_port(), self._public_host or reached(request)),
            self._tickets.issue(record.peer_id),
            UNSET if registration.secret is None else registration.secret,
            self._relays.of(record.peer_id),
        )
        return reply(request, answer)

    @app.route("/introduce", methods=["POST"])
    async def _introduce(self, request: Request) -> bytes:
        fields = fields_of(request)
        caller = valid_peer_id(required(fields, "from"), "from")
        callee = valid_peer_id(required(fields, "to"), "to")
        await self._check_owner(request, caller, "from")
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
            raise _too_many("introductions", often) from None
        return reply(request, Introduction("success", offer.token, offer.peer_id, offer.username))

    @app.route("/v1/probe", methods=["POST"])
    async def _probe(self, request: Request) -> bytes:
        fields = fields_of(request)
        peer_id = valid_peer_id(required(fields, "peer_id"))
        asked = valid_port(fields["port"]) if "port" in fields else None
        await self._check_owner(request, peer_id, "peer_id")
        try:
            host, port = self._introducer.attendance.find(peer_id).address
            if asked is not None:
                port = asked
            found = await self._prober.probe(peer_id, (host, port))
        except Offline:
            raise Refused(409, "you have no UDP association", field="peer_id") from None
        except TooOften as often:
            raise _too_many("probes", often) from None
        answered = found.service is not None
        return reply(
            request, Probed("success", host, port, answered, found.service, found.round_trip)
        )

    async def _check_owner(self, request: Request, peer_id: str, field: str) -> None:
        secret = bearer(request)
        try:
            await self._registry.owned(peer_id, secret)
        except NotOwner:
            raise not_owner(secret, field) from None
        except UnknownPeer:
            raise unauthorized("you are not registered", field) from None

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
            return reply_refused(request, Refused(405, f"allowed are {allowed}", Allow=allowed))
        if isinstance(error, HTTPException):
            status = error.code or 500
            return reply_refused(request, Refused(status, HTTPStatus(status).description))
        if isinstance(error, InvalidField):
            return reply_refused(request, Refused(422, str(error), field=error.field))
        if isinstance(error, Refused):
            return reply_refused(request, error)
        self._log.failure(
            "{method!r} {uri!r} failed", failure, method=request.method, uri=request.uri
        )
        return reply_refused(request, Refused(500, "this is our fault; the log knows more"))


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
            return reply_refused(request, Refused(400, "the path is not UTF-8"))
        # Nothing is routed by host, so an odd one is no reason to refuse; Werkzeug would.
        host = reached(request)
        request.requestHeaders.setRawHeaders("Host", [f"[{host}]" if ":" in host else host])
        return super().render(request)


def _too_many(what: str, often: TooOften) -> Refused:
    return Refused(429, f"too many {what}", Retry_After=str(ceil(often.retry_after)))


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
