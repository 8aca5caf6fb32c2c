"""
The REST API.  The one file that imports Klein, which installs a reactor when imported.

What can be asked for stands in `p2pnet.signaling.rest`.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from klein import Klein
from klein.resource import KleinResource
from twisted.logger import Logger
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from p2pnet.signaling.addresses import host_of
from p2pnet.signaling.health import Health
from p2pnet.signaling.limits import Limits
from p2pnet.signaling.rest.events import EventEndpoints
from p2pnet.signaling.rest.first import FirstEndpoints
from p2pnet.signaling.rest.hub import Hub
from p2pnet.signaling.rest.news import Figures
from p2pnet.signaling.rest.openapi import described
from p2pnet.signaling.rest.operations import operations_of
from p2pnet.signaling.rest.peers import PeerEndpoints
from p2pnet.signaling.rest.rooms import RoomEndpoints
from p2pnet.signaling.rest.running import Runner
from p2pnet.signaling.rest.sampling import Sampler
from p2pnet.signaling.rest.server import ServerEndpoints
from p2pnet.signaling.rest.sessions import SessionEndpoints
from p2pnet.signaling.site import bounded_site
from p2pnet.signaling.web import Refused, header, reached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.resource import IResource
    from twisted.web.server import Request

    from p2pnet.rudp.statistics import NetStatistics
    from p2pnet.signaling.rest.desk import Desk
    from p2pnet.signaling.rest.operations import Operation
    from p2pnet.signaling.site import BoundedSite

_WATCHED: Final = frozenset((b"/healthz", b"/readyz"))
"""What load balancers ask, all from one network."""


class SignalingAPI:
    """
    Everything that can be asked for over HTTP.

    :param clock: for timers and rates; whatever it counts from.
    :param wall: Unix seconds.
    :param statistics: of the engine.
    :param limits: what strangers may take.
    :param health: whether anything new is begun.
    :ivar desk: as given.
    :ivar limits: what strangers may take; they may be changed.
    :ivar runner: what was answered, in numbers.
    :ivar sampler: a service that takes the figures; without it there are none.
    :ivar hub: carries events to their listeners.
    :ivar operations: what can be asked for.
    """

    _log = Logger()

    def __init__(
        self,
        desk: Desk,
        *,
        clock: IReactorTime,
        wall: Callable[[], float],
        statistics: Callable[[], NetStatistics],
        limits: Limits | None = None,
        health: Health | None = None,
    ) -> None:
        self.desk = desk
        self._wall = wall
        self._statistics = statistics
        self.limits = limits or Limits()
        self._health = health or Health({}, clock)
        self.runner = Runner(
            desk.registry, self.limits, clock, self._health, always=_WATCHED
        )
        self.hub = Hub(desk.registry.feed, self.limits, clock)
        self.sampler = Sampler(self._figures, clock)
        self.operations: list[Operation] = []
        self._described: dict[str, Any] | None = None
        self._app = Klein()
        # To redirect would be to repeat the client's Host header.
        self._app.url_map.strict_slashes = False
        self._app.url_map.merge_slashes = False
        self._app.handle_errors(Exception)(self._unroutable)
        for group in (
            PeerEndpoints(desk, self.limits, clock.seconds),
            RoomEndpoints(desk),
            SessionEndpoints(desk),
            EventEndpoints(self.hub, desk.policy, self.sampler, clock),
            ServerEndpoints(desk, self._health, self.sampler, self.describe),
            FirstEndpoints(desk),
        ):
            self._add(group)

    def resource(self) -> IResource:
        """
        The root of the API, for a ``Site``; `make_site` makes a suitable one.
        """
        resource: IResource = _Root(self._app, self.runner)
        return resource

    def describe(self) -> dict[str, Any]:
        """
        The API in the words of OpenAPI 3.1.
        """
        if self._described is None:
            try:
                number = version("p2pnet")
            except PackageNotFoundError:
                number = "0"
            self._described = described(self.operations, number)
        return self._described

    def drain(self) -> None:
        """
        Send all listeners away; they come back, or go elsewhere.
        """
        self.hub.close()

    def _add(self, group: object) -> None:
        for operation, handler in operations_of(group):
            self.operations.append(operation)
            path = operation.path.replace("{", "<").replace("}", ">")
            route = self._app.route(path, methods=[operation.method], endpoint=operation.name)
            route(self._runs(operation, handler))

    def _runs(
        self, operation: Operation, handler: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[bytes | None]]:
        """
        What Klein calls.
        """

        async def answer(request: Request, **texts: str) -> bytes | None:
            return await self.runner.run(operation, handler, request, texts)

        return answer

    async def _figures(self) -> Figures:
        census = await self.desk.registry.census()
        broker, statistics = self.desk.introducer.broker, self._statistics()
        outcomes = {"direct": 0, "relayed": 0, "failed": 0}
        for (result, *_), count in broker.outcomes.items():
            outcomes[result] += count
        return Figures(
            self._wall(),
            census.registered,
            census.online,
            census.associated,
            census.rooms,
            broker.introductions,
            outcomes["direct"],
            outcomes["relayed"],
            outcomes["failed"],
            statistics.bytes_received,
            statistics.bytes_sent,
            self.runner.answers.total(),
            self.hub.listeners,
        )

    def _unroutable(self, request: Any, failure: Failure) -> bytes:
        """
        Nothing is there, or not with this method.
        """
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            methods = sorted({*(error.valid_methods or ()), "OPTIONS"})
            allowed = ", ".join(methods)
            if request.method == b"OPTIONS":
                request.setResponseCode(HTTPStatus.NO_CONTENT)
                request.setHeader(b"Allow", allowed.encode())
                return b""
            return self._refuse(request, Refused(405, f"allowed are {allowed}", Allow=allowed))
        if isinstance(error, HTTPException):
            status = error.code or 500
            return self._refuse(request, Refused(status, HTTPStatus(status).description))
        self._log.failure("a request failed", failure)
        return self._refuse(request, Refused(500, "this is our fault; the log knows more"))

    def _refuse(self, request: Request, refused: Refused) -> bytes:
        return self.runner.refuse(request, refused, None)


def make_site(api: SignalingAPI, reactor: IReactorTime | None = None) -> BoundedSite:
    """
    A site that serves `api`, refuses early what is too large, slow or much, and keeps no access
    log.

    :param reactor: for the time-outs; None for Twisted's global one.
    """
    return bounded_site(api.resource(), reactor, api.limits)


class _Root(KleinResource):
    """
    Keeps from Klein what it would answer in plain text, or not at all.
    """

    def __init__(self, app: Klein, runner: Runner) -> None:
        super().__init__(app)
        self._runner = runner

    def render(self, request: Any) -> Any:
        request.setHeader("Server", "p2pnet")
        refusal = self._runner.throttle(request)
        if refusal is not None:
            return refusal
        try:
            b"/".join(request.postpath).decode()
        except UnicodeDecodeError:
            return self._runner.refuse(request, Refused(400, "the path is not UTF-8"), None)
        if host_of(header(request, b"Host")) is None:
            # Nothing is routed by host, so an odd one is no reason to refuse; Werkzeug would.
            host = reached(request)
            request.requestHeaders.setRawHeaders("Host", [f"[{host}]" if ":" in host else host])
        return super().render(request)
