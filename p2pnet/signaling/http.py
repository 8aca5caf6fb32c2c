"""
HTTP over treq.  The one file that imports it.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from p2pnet.signaling.directory import Answer, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IProtocol
    from twisted.python.failure import Failure

TIMEOUT: Final = 5.0
"""Seconds for a request, from the name lookup to the last byte."""
MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes: the listing of a full registry, 10,000 peers, has about 2 MB."""


class TreqHTTP:
    """
    Each request over a connection of its own.

    Refreshes come less often than servers close idle connections, and a request that meets a
    closing one is lost.

    :param treq: an ``HTTPClient``, or whatever requests like one.
    :param reactor: for the time-outs.
    :param timeout: seconds a request may take as a whole.
    :param max_answer: bytes of a body to accept.
    """

    def __init__(
        self, treq: Any, reactor: Any, timeout: float = TIMEOUT, max_answer: int = MAX_ANSWER
    ) -> None:
        self._treq = treq
        self._reactor = reactor
        self._timeout = timeout
        self._max_answer = max_answer

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        name: str | None = None,
        secret: str | None = None,
    ) -> Deferred[Answer]:
        """
        Send one request and collect the answer.

        :param name: whose secret it is, for ``Authorization: Basic``, which ``/v1`` wants; None for
            Bearer.
        :raise NoAnswer: no connection, no answer in time, or too long a one.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if secret is not None and name is not None:
            credentials = b64encode(f"{name}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        elif secret is not None:
            headers["Authorization"] = f"Bearer {secret}"
        answer = Deferred.fromCoroutine(self._request(method, url, headers, body))
        answer.addTimeout(self._timeout, self._reactor, self._timed_out)
        answer.addErrback(_no_answer, url)
        return answer

    async def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        response = await self._treq.request(
            method,
            url,
            headers=headers,
            data=body,
            # A redirect would carry our secret along.
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        collected = _Body(self._max_answer)
        response.deliverBody(collected)
        wait = _retry_after(response.headers.getRawHeaders("Retry-After", []))
        return Answer(response.code, await collected.whole, wait)

    def _timed_out(self, result: object, timeout: float) -> None:
        raise NoAnswer(f"no answer within {timeout:g} s")


def treq_http(reactor: Any) -> TreqHTTP:
    """
    Requests over real sockets.
    """
    pool = HTTPConnectionPool(reactor, persistent=False)
    agent = Agent.usingEndpointFactory(reactor, _QuietEndpoints(reactor), pool)
    return TreqHTTP(HTTPClient(agent), reactor)


@implementer(IAgentEndpointFactory)
class _QuietEndpoints:
    """
    The endpoints an ``Agent`` would use itself, less two lines of log per request.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, host, uri.port, timeout=TIMEOUT
        )
        if uri.scheme == b"https":
            policy = BrowserLikePolicyForHTTPS()
            endpoint = wrapClientTLS(policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return _Quiet(endpoint)


@implementer(IStreamClientEndpoint)
class _Quiet:
    """
    An endpoint whose factories say nothing when they start and stop.
    """

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        protocolFactory.noisy = False
        return self._endpoint.connect(protocolFactory)


def _retry_after(values: Sequence[str]) -> float:
    """
    Seconds; 0 for none.  Our servers write no dates there (RFC 9110 §10.2.3).
    """
    text = values[-1].strip() if values else ""
    # Whatever has more digits is nobody's to wait for.
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


class _Body(Protocol):
    """
    Collects up to ``limit`` bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self.whole: Deferred[bytes] = Deferred(self._cancel)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit and not self.whole.called:
            self.whole.errback(NoAnswer(f"the answer has more than {self._limit} bytes"))
            self._give_up()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        # Twisted declares a default failure that it never uses.
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._data))
        else:
            self.whole.errback(NoAnswer("the answer broke off"))

    def _cancel(self, _: Deferred[bytes]) -> None:
        self._give_up()

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def _no_answer(failure: Failure, url: str) -> None:
    """
    Any failure as one that a person understands.
    """
    if failure.check(CancelledError):
        failure.raiseException()
    error = failure.value
    if isinstance(error, NoAnswer):
        reason = str(error)
    elif isinstance(error, DNSLookupError):
        reason = "no such host"
    elif isinstance(error, ConnectError):
        reason = "no connection"
    else:
        reason = f"the connection broke ({type(error).__name__})"
    raise NoAnswer(f"{url} does not answer: {reason}")
