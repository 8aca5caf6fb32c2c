"""
Runs operations: lets requests in, reads them, writes answers and errors.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from twisted.internet.defer import CancelledError, DeferredLock
from twisted.logger import Logger

from p2pnet.signaling.addresses import network_of
from p2pnet.signaling.allowance import Allowance, NetworkAllowance, Rate, TooOften
from p2pnet.signaling.records import InvalidField, RegistryFull, RegistryUnavailable
from p2pnet.signaling.rest.operations import STREAMED, Answer, Operation, Page
from p2pnet.signaling.rest.pouring import PIECE, Pourings
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.reading import (
    Call,
    body_as,
    invalid,
    names_tag,
    parameter_as,
    query_as,
    tag_of,
)
from p2pnet.signaling.rest.replays import MAX_KEY, Kept, KeyReused, Replays, StillBusy
from p2pnet.signaling.secrets import digest
from p2pnet.signaling.shapes import encode
from p2pnet.signaling.web import (
    Refused,
    bearer,
    body_of,
    caller_of,
    header,
    respond,
    respond_refused,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from twisted.internet.interfaces import IReactorTime
    from twisted.web.server import Request

    from p2pnet.interfaces import IRegistry
    from p2pnet.signaling.health import Health
    from p2pnet.signaling.limits import Limits

MAX_OWNERS: Final = 20_000
"""Whose changes are counted."""
MAX_NETWORKS: Final = 4096
"""Whose requests are counted, and who are known."""
SHARE: Final = Rate(5.0, 10)
"""Requests of a network that is known, which are let in whatever all others ask for."""
LISTING: Final = 200 * 1024
"""Bytes of a listing of everybody, some thousand peers, that counts for one."""
SECURITY: Final = (
    ("Referrer-Policy", "no-referrer"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
"""What pages tell browsers: nothing from elsewhere, and nothing that is written into the page."""


class _Nothing(Struct, forbid_unknown_fields=True):
    """
    No parameters.
    """


class Runner:
    """
    Runs operations.

    :param clock: for rates and patience; whatever it counts from.
    :param health: whether new things are begun.
    :param always: paths that no network can be kept from, for those who watch over us.
    :ivar answers: how many, by the operation's name (empty for none) and status.
    :ivar throttled: requests refused for being too many, by whose: ``network``, ``all``, ``owner``,
        ``listings``.
    :ivar under_way: operations that are being answered now, event streams among them.
    """

    _log = Logger()

    def __init__(
        self,
        registry: IRegistry,
        limits: Limits,
        clock: IReactorTime,
        health: Health,
        always: frozenset[bytes] = frozenset(),
    ) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.throttled: Counter[str] = Counter()
        self.under_way = 0
        self._registry = registry
        self._clock = clock.seconds
        self._later = clock.callLater
        self._health = health
        self._always = always
        self._networks = Allowance(limits.requests, limit=MAX_NETWORKS)
        # Of those with a registered peer, and of those without: a flood of strangers, from however
        # many networks, leaves the others their share.
        self._all = Allowance(limits.requests_in_all, limit=2)
        self._shares = Allowance(SHARE, limit=MAX_NETWORKS)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._owners = Allowance(limits.changes, limit=MAX_OWNERS)
        self._one_listing = DeferredLock()
        self._listings = NetworkAllowance(limits.listings, limits.listings_in_all)
        self._pourings = Pourings(limits, clock)
        self._replays = Replays(clock.seconds)

    # ------------------------------------------------------------ before there is an operation

    def throttle(self, request: Request) -> bytes | None:
        """
        Count a request.

        :return: the body of the answer if it is one too many; what it has to say besides is set.
        """
        now = self._clock()
        wait, whose = 0.0, "network"
        network = network_of(caller_of(request))
        if request.path not in self._always:
            wait = self._networks.wait(network, now)
        is_known = network in self._known
        if not wait and not (is_known and not self._shares.wait(network, now)):
            wait, whose = self._all.wait("known" if is_known else "", now), "all"
        if not wait:
            return None
        self.throttled[whose] += 1
        return self.refuse(request, _too_often("too many requests", wait), None)

    def _is_old(self, request: Request, operation: Operation | None) -> bool:
        """
        Whether problems are told to it without types.
        """
        if operation is None:
            return not request.path.startswith(b"/v1/")
        return operation.old

    def refuse(
        self, request: Request, refused: Refused, operation: Operation | None
    ) -> bytes:
        """
        The body of an answer that is an error; what it has to say besides is set.
        """
        is_old = self._is_old(request, operation)
        problem = refused.plain() if is_old else refused.problem
        self.answers[operation.name if operation else "", problem.status] += 1
        self._say_goodbye(request)
        return respond_refused(request, refused, problem)

    # ------------------------------------------------------------ operations

    async def run(
        self,
        operation: Operation,
        handler: Callable[..., Awaitable[Any]],
        request: Request,
        texts: Mapping[str, str],
    ) -> bytes | None:
        """
        Answer a request.

        :param texts: the parameters of its path.
        :return: the body; None if it is written already.
        """
        self.under_way += 1
        try:
            data = await self._run(operation, handler, request, texts)
            self.answers[operation.name, request.code] += 1
            return data
        except CancelledError:
            # Nobody waits for the answer any more.
            raise
        except Exception as error:
            return self.refuse(request, self._refusal(error, operation, request), operation)
        finally:
            self.under_way -= 1

    async def _run(
        self,
        operation: Operation,
        handler: Callable[..., Awaitable[Any]],
        request: Request,
        texts: Mapping[str, str],
    ) -> bytes | None:
        call = Call(request, self._registry)
        if operation.begins and self._health.draining:
            raise Refused.because(
                Kind.LEAVING,
                "this server is about to end",
                Retry_After=str(self._health.retry_after),
            )
        if operation.method != "GET":
            self._count_change(call)
        if operation.heavy:
            self._count_listing(call)
        arguments = self._arguments(operation, request, texts)
        kept = self._kept(operation, call) if operation.repeatable else None
        if kept is not None and kept.status:
            return self._write(operation, call, kept.status, kept.body, kept.headers)
        try:
            answer = await self._handled(operation, lambda: handler(call, **arguments))
        except BaseException:
            if kept is not None:
                self._replays.forget(kept)
            raise
        if operation.signed and call.header(b"Authorization"):
            self._remember(network_of(call.caller))
        if answer is STREAMED:
            return None
        if isinstance(answer, Page):
            return await self._write_page(operation, call, answer)
        if not isinstance(answer, Answer):
            answer = Answer(answer, operation.statuses[0])
        data = b"" if answer.body is None else encode(answer.body)
        if operation.heavy and len(data) > LISTING:
            more = len(data) / LISTING - 1
            self._listings.charge(network_of(call.caller), more, self._clock())
        if kept is not None:
            kept.status, kept.body, kept.headers = answer.status, data, answer.headers
        body = self._write(operation, call, answer.status, data, answer.headers)
        return await self._poured(call, body)

    async def _handled(
        self, operation: Operation, handle: Callable[[], Awaitable[Any]]
    ) -> Any:
        """
        The answer; large ones are made one at a time, and not all the time.
        """
        if not operation.heavy:
            return await handle()
        await self._one_listing.acquire()
        began = self._clock()
        try:
            return await handle()
        finally:
            # What it costs to write it comes on top.
            rest = 2 * (self._clock() - began)
            if rest:
                self._later(rest, self._one_listing.release)
            else:
                self._one_listing.release()

    def _remember(self, network: str) -> None:
        """
        Somebody who owns something is there.
        """
        self._known[network] = None
        self._known.move_to_end(network)
        if len(self._known) > MAX_NETWORKS:
            self._known.popitem(last=False)

    def _count_change(self, call: Call) -> None:
        """
        Whoever shows a secret pays for it, and nobody else can make it pay.
        """
        secret = call.credentials[1] if call.credentials else bearer(call.request)
        if secret is None:
            return
        wait = self._owners.wait(digest(secret).hex(), self._clock())
        if wait:
            self.throttled["owner"] += 1
            raise _too_often("too many changes", wait)

    def _count_listing(self, call: Call) -> None:
        wait = self._listings.wait(network_of(call.caller), self._clock())
        if wait:
            self.throttled["listings"] += 1
            raise _too_often("too many listings", wait)

    def _arguments(
        self, operation: Operation, request: Request, texts: Mapping[str, str]
    ) -> dict[str, Any]:
        if operation.old:
            return dict(texts)
        arguments = {
            name: parameter_as(kind, texts[name]) for name, kind in operation.parameters.items()
        }
        if operation.query is not None:
            arguments["query"] = query_as(operation.query, request)
        elif operation.path.startswith("/v1/"):
            query_as(_Nothing, request)
        if operation.body is not None:
            arguments["body"] = body_as(operation.body, body_of(request))
        return arguments

    def _kept(self, operation: Operation, call: Call) -> Kept | None:
        key = call.header(b"Idempotency-Key")
        if not key:
            return None
        if len(key) > MAX_KEY:
            raise invalid("Idempotency-Key", f"must have {MAX_KEY} characters at most")
        owner = ":".join(call.credentials or (call.caller,))
        content: Any = call.request.content
        content.seek(0)
        asked = b"\n".join((operation.method.encode(), call.request.uri, content.read()))
        try:
            return self._replays.begin(owner, key, asked)
        except KeyReused:
            raise Refused.because(
                Kind.KEY_REUSED, "this key was used for another request", field="Idempotency-Key"
            ) from None
        except StillBusy:
            raise Refused.because(
                Kind.KEY_IN_USE,
                "the first request with this key is not answered yet",
                field="Idempotency-Key",
                Retry_After="1",
            ) from None

    # ------------------------------------------------------------ answers

    def _write(
        self,
        operation: Operation,
        call: Call,
        status: int,
        data: bytes,
        headers: tuple[tuple[str, str], ...],
    ) -> bytes:
        request, caching = call.request, "no-store"
        for name, value in headers:
            request.setHeader(name.encode(), value.encode())
        if operation.tagged and data:
            tag, caching = tag_of(data), "private, no-cache"
            request.setHeader(b"ETag", tag.encode())
            request.setHeader(b"Vary", b"Authorization, Accept")
            if names_tag(header(request, b"If-None-Match"), tag, weakly=True):
                status, data = 304, b""
        self._say_goodbye(request)
        if not data:
            request.setResponseCode(status, HTTPStatus(status).phrase.encode())
            request.setHeader(b"Cache-Control", caching.encode())
            if status not in (204, 304):
                request.setHeader(b"Content-Length", b"0")
            return b""
        return respond(request, status, operation.media_type, data, caching)

    async def _write_page(self, operation: Operation, call: Call, page: Page) -> bytes | None:
        request = call.request
        for name, value in (*SECURITY, *page.headers):
            request.setHeader(name.encode(), value.encode())
        tag, caching = tag_of(page.data), "no-cache"
        self._say_goodbye(request)
        request.setHeader(b"ETag", tag.encode())
        if names_tag(header(request, b"If-None-Match"), tag, weakly=True):
            request.setResponseCode(304, b"Not Modified")
            request.setHeader(b"Cache-Control", caching.encode())
            return b""
        return await self._poured(call, respond(request, 200, page.media_type, page.data, caching))

    async def _poured(self, call: Call, data: bytes) -> bytes | None:
        if len(data) <= PIECE or call.request.method == b"HEAD":
            return data
        await self._pourings.pour(call.request, network_of(call.caller), data)
        return None

    def _say_goodbye(self, request: Request) -> None:
        if self._health.draining:
            request.setHeader(b"Connection", b"close")
            request.channel.persistent = False

    # ------------------------------------------------------------ errors

    def _refusal(self, error: Exception, operation: Operation, request: Request) -> Refused:
        """
        What to say of an error.
        """
        if isinstance(error, Refused):
            return error
        if isinstance(error, InvalidField):
            return Refused.because(Kind.INVALID, str(error), field=error.field)
        if isinstance(error, TooOften):
            return _too_often("too many requests", error.retry_after)
        if isinstance(error, RegistryUnavailable):
            return Refused.because(
                Kind.UNAVAILABLE,
                "the registry does not answer; nothing is lost",
                Retry_After=_seconds(error.retry_after),
            )
        if isinstance(error, RegistryFull):
            return Refused.because(
                Kind.FULL, "no room for another one", Retry_After=_seconds(self._registry.lease)
            )
        self._log.failure("{operation} failed", operation=operation.name)
        return Refused(500, "this is our fault; the log knows more")


def _seconds(wait: float) -> str:
    return str(max(1, ceil(wait)))


def _too_often(what: str, wait: float) -> Refused:
    return Refused.because(Kind.TOO_OFTEN, what, Retry_After=_seconds(wait))
