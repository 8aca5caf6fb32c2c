"""
HTTP for strangers: bounded bodies, no access log.

Twisted leaves some of what it calls here without annotations (``no-untyped-call``).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from twisted.web.server import Request, Site

from p2pnet.signaling.shapes import Problem, encode

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.resource import IResource

MAX_BODY: Final = 16 * 1024
"""Bytes; the largest body we understand has some 300.  Twisted bounds the headers by as much."""
MAX_DISCARDED: Final = 1024 * 1024
"""Bytes of a refused body we read on, so that a client still sending gets to read the answer."""
IDLE_TIMEOUT: Final = 15.0
"""Seconds without a byte, in the middle of a request or between two."""
BODY_TOO_LARGE: Final = f"the body must not have more than {MAX_BODY} bytes"


class BoundedRequest(Request):
    """
    A request whose body is refused as soon as it is, or says it will be, too large.
    """

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
        super().process()  # type: ignore[no-untyped-call]

    def _refuse(self) -> None:
        self._refused = True
        self._body.truncate(0)
        # Else Twisted would tell the client to go ahead, right behind our refusal.
        self.requestHeaders.removeHeader(b"Expect")
        problem = Problem.of(413, BODY_TOO_LARGE)
        body = encode(problem)
        self.channel.write(
            b"HTTP/1.1 413 %b\r\n"
            b"Content-Type: application/problem+json\r\n"
            b"Content-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (problem.title.encode(), len(body), body)
        )


class QuietSite(Site):
    """
    A site without an access log, so that no client chooses what stands in ours.
    """

    noisy = False

    def log(self, request: Any) -> None:
        """
        Nothing.
        """


def bounded_site(resource: IResource, reactor: IReactorTime | None = None) -> Site:
    """
    A site of bounded requests.

    :param reactor: for the time-outs; None for Twisted's global one.
    """
    return QuietSite(  # type: ignore[no-untyped-call]
        resource, requestFactory=BoundedRequest, timeout=IDLE_TIMEOUT, reactor=reactor
    )
