"""
HTTP for strangers: bounded in bytes, time and connections, no access log.

Twisted leaves some of what it calls here without annotations (``no-untyped-call``).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.server import Request, Site

from p2pnet.signaling.addresses import literal_ip, network_of
from p2pnet.signaling.doors import Doors
from p2pnet.signaling.limits import Limits
from p2pnet.signaling.shapes import Problem, encode
from p2pnet.signaling.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.resource import IResource

MAX_BODY: Final = 16 * 1024
"""Bytes; the largest body we understand has some 1,500.  Twisted bounds the headers by as much."""
MAX_DISCARDED: Final = 1024 * 1024
"""Bytes of a refused body we read on, so that a client still sending gets to read the answer."""
BODY_TOO_LARGE: Final = f"the body must not have more than {MAX_BODY} bytes"
PENANCE: Final = 1.0
"""Seconds for which who is told to come later (429) is not listened to: as said, at least one."""
LOOPBACK: Final = "127.0.0.1"
"""Who calls without an IP, over a UNIX socket, is on this machine."""


def ip_of(address: object) -> str:
    """
    The literal IP in what Twisted takes for an address.
    """
    if isinstance(address, IPv4Address | IPv6Address):
        return literal_ip(address.host) or LOOPBACK
    return LOOPBACK


class BoundedChannel(HTTPChannel):
    """
    A connection that is cut if its requests take too long to come, or our answers to go.

    Each piece of a request, and each request of several that came in one piece, is a work of its
    network's (see `Turns`).  It answers what is no HTTP as we answer everything, in JSON.
    """

    site: BoundedSite
    transport: Any
    _network = ""
    """Where it comes from; empty until it speaks."""
    _is_served = False
    _is_lost = False
    _is_doing_penance = False
    _busy = False
    _refused = False
    _closing = False
    _deadline: IDelayedCall | None = None
    """By when the request that comes in has to be here."""
    _patience: IDelayedCall | None = None
    """By when the client has to have taken what waits for it."""

    def connectionMade(self) -> None:
        """
        Somebody is there.
        """
        super().connectionMade()  # type: ignore[no-untyped-call]
        # What is read waits for its turn, in memory.
        self.transport.bufferSize = MAX_BODY
        self.site.doors.arrived(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        It is gone.
        """
        # Twisted declares a default reason that it never uses.
        self._is_lost = True
        if self._is_doing_penance:
            # It keeps its place, or its next one would be heard at once.
            self._later(PENANCE, lambda: self.site.doors.left(self))
        else:
            self.site.doors.left(self)
        _cancel(self._deadline)
        _cancel(self._patience)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def show_out(self) -> None:
        """
        Close it at once.
        """
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """
        Something to read.
        """
        if self._is_served:
            # What came behind a request, and has waited for its turn already.
            super().dataReceived(data)  # type: ignore[no-untyped-call]
            return
        if not self._network:
            network = network_of(ip_of(self.transport.getPeer()))
            if not self.site.doors.spoke(self, network):
                return
            self._network = network
        if self._deadline is None and not self._busy:
            self._deadline = self._later(self.site.limits.request_time, self._too_slow)
        self._networkProducer.pauseProducing()
        self._at_its_turn(lambda: self._read(data))

    def allContentReceived(self) -> None:
        """
        A request is in.
        """
        _cancel(self._deadline)
        self._deadline = None
        self._busy = True
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def requestDone(self, request: Request) -> None:
        """
        It is answered.
        """
        if request.code == 429:
            self._is_doing_penance = True
            self._later(PENANCE, lambda: self._go_on_at_its_turn(request))
        elif self._buffer or self._dataBuffer:
            # Many requests that came in one piece are many works.
            self._go_on_at_its_turn(request)
        else:
            self._go_on(request)

    def pauseProducing(self) -> None:
        """
        The client takes less than we give.
        """
        self._wait_for_client()
        super().pauseProducing()  # type: ignore[no-untyped-call]

    def resumeProducing(self) -> None:
        """
        It has taken it all.
        """
        _cancel(self._patience)
        self._patience = None
        super().resumeProducing()  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        """
        Close it when the client has taken everything.
        """
        if not self._closing:
            self._closing = True
            self._wait_for_client()
            super().loseConnection()  # type: ignore[no-untyped-call]

    def timeoutConnection(self) -> None:
        """
        The client is silent.  Twisted would write its address into the log.
        """
        self.loseConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        """
        A line of a head does not end.
        """
        if self.requests:
            self.refuse(431, "a header is too long")
        else:
            self.refuse(414, "the path is too long")

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's name, and the one place where it can be given a body.
        if self._receivedHeaderSize > self.totalHeadersSize:
            self.refuse(431, f"the headers have more than {self.totalHeadersSize} bytes")
        elif self._receivedHeaderCount > self.maxHeaders:
            self.refuse(431, f"there are more than {self.maxHeaders} headers")
        else:
            self.refuse(400, "this is no HTTP request")

    def refuse(self, status: int, detail: str, *, close: bool = True) -> None:
        """
        Answer what is not, or not yet, a request.
        """
        if self._refused:
            return
        self._refused = True
        problem = Problem.of(status, detail)
        body = encode(problem)
        self.transport.write(
            b"HTTP/1.1 %d %b\r\n"
            b"Content-Type: application/problem+json\r\n"
            b"Content-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (status, problem.title.encode(), len(body), body)
        )
        if close:
            self.loseConnection()

    def _at_its_turn(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            self._is_served = True
            try:
                work()
            except Exception:
                # Whoever brings what comes next has nothing to do with it.
                self._log.failure("a connection failed")
                self.show_out()
            finally:
                self._is_served = False

        self.site.turns.take(self._network, guarded)

    def _read(self, data: bytes) -> None:
        if not self._is_lost:
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def _go_on_at_its_turn(self, request: Request) -> None:
        self._at_its_turn(lambda: self._go_on(request))

    def _go_on(self, request: Request) -> None:
        """
        Read what comes after a request.
        """
        self._is_doing_penance = False
        if not self._is_lost:
            self._busy = False
            super().requestDone(request)  # type: ignore[no-untyped-call]

    def _later(self, delay: float, call: Callable[[], None]) -> IDelayedCall:
        later: IDelayedCall = self.callLater(delay, call)  # type: ignore[no-untyped-call]
        return later

    def _too_slow(self) -> None:
        self._deadline = None
        self.refuse(408, "the request was not complete in time")

    def _wait_for_client(self) -> None:
        if self._patience is None:
            self._patience = self._later(self.site.limits.drain_time, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        self.show_out()


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()


class BoundedRequest(Request):
    """
    A request whose body is refused as soon as it is, or says it will be, too large.
    """

    channel: Any
    """A `BoundedChannel` until the client is gone."""
    _log = Logger()
    _received = 0
    _refused = False
    _content_type: tuple[bytes, ...] = ()
    _body: BytesIO

    def gotLength(self, length: int | None) -> None:
        """
        The headers are in; ``length`` is None for a chunked body.
        """
        # Not Twisted's choice of file: that is one on disk for a body of unknown length.
        self.content = self._body = BytesIO()
        if length is not None and length > MAX_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """
        A piece of the body.
        """
        self._received += len(data)
        if self._refused:
            if self._received > MAX_DISCARDED:
                self.channel.loseConnection()
        elif self._received > MAX_BODY:
            self._refuse()
        else:
            self._body.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """
        The whole body is in.
        """
        if self._refused:
            self.channel.loseConnection()
            return
        # Twisted parses a form before anybody asks, and answers a broken one in its own words.
        self._content_type = tuple(self.requestHeaders.getRawHeaders(b"Content-Type", ()))
        self.requestHeaders.removeHeader(b"Content-Type")
        super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]

    def process(self) -> None:
        """
        Answer it.
        """
        if self._content_type:
            self.requestHeaders.setRawHeaders(b"Content-Type", self._content_type)
        if self.path == b"*":
            # Twisted has an answer to this one, but none for a program.
            self.channel.refuse(400, "the path must begin with a slash")
            return
        super().process()  # type: ignore[no-untyped-call]

    def processingFailed(self, reason: Failure) -> None:
        """
        It was too much for us.
        """
        self._log.failure("a request failed", reason)
        if not self.startedWriting and self.channel is not None:
            self.channel.refuse(500, "this is our fault; the log knows more")
        else:
            self.loseConnection()  # type: ignore[no-untyped-call]

    def _refuse(self) -> None:
        self._refused = True
        self._body.truncate(0)
        # Else Twisted would tell the client to go ahead, right behind our refusal.
        self.requestHeaders.removeHeader(b"Expect")
        self.channel.refuse(413, BODY_TOO_LARGE, close=False)


class BoundedSite(Site):
    """
    Bounded connections, and no access log, so that no client chooses what stands in ours.

    :ivar doors: counts the connections.
    :ivar turns: whose requests are read and answered next.
    """

    noisy = False
    protocol = BoundedChannel  # type: ignore[assignment]  # no HTTP/2
    requestFactory = BoundedRequest

    def __init__(
        self, resource: IResource, limits: Limits, reactor: IReactorTime | None = None
    ) -> None:
        super().__init__(resource, reactor=reactor)  # type: ignore[no-untyped-call]
        self.limits = limits
        self.doors = Doors(limits)
        self.turns = Turns(self.reactor)

    def buildProtocol(self, addr: Any) -> Any:
        """
        A connection.
        """
        self.timeOut = self.limits.idle_time
        return super().buildProtocol(addr)  # type: ignore[no-untyped-call]

    def log(self, request: Any) -> None:
        """
        Nothing.
        """


def bounded_site(
    resource: IResource, reactor: IReactorTime | None = None, limits: Limits | None = None
) -> BoundedSite:
    """
    A site of bounded requests.

    :param reactor: for the time-outs; None for Twisted's global one.
    """
    return BoundedSite(resource, limits or Limits(), reactor)
