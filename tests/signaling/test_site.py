"""
What strangers send over TCP is bounded before anybody understands it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from p2pnet.signaling.site import IDLE_TIMEOUT, MAX_BODY, MAX_DISCARDED, bounded_site


class Echo(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        content: bytes = request.content.read()
        kind = request.getHeader("Content-Type") or ""
        return f"{len(content)} bytes of {kind}".encode()


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.site = bounded_site(Echo(), self.clock)
        self.transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        assert protocol is not None
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)

    def send(self, *lines: bytes, body: bytes = b"") -> bytes:
        self.protocol.dataReceived(b"\r\n".join((*lines, b"", body)))
        answer: bytes = self.transport.value()
        return answer

    def assert_refused(self, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"Content-Type: application/problem+json" in head
        assert b"Connection: close" in head
        assert b"Content-Length: %d" % len(body) in head
        assert msgspec.json.decode(body)["status"] == 413

    def test_a_body_up_to_the_limit_comes_through(self) -> None:
        answer = self.send(
            b"POST / HTTP/1.1",
            b"Content-Length: %d" % MAX_BODY,
            b"Content-Type: text/x",
            body=b"x" * MAX_BODY,
        )
        assert answer.endswith(b"%d bytes of text/x" % MAX_BODY)

    def test_a_body_announced_too_large_is_refused_before_it_comes(self) -> None:
        answer = self.send(
            b"POST / HTTP/1.1", b"Expect: 100-continue", b"Content-Length: %d" % (MAX_BODY + 1)
        )
        self.assert_refused(answer)
        assert not self.transport.disconnecting

    def test_a_refused_body_is_read_to_its_end_and_the_connection_closed(self) -> None:
        """
        Else the client, still sending, would get a reset in place of the answer.
        """
        self.send(b"POST / HTTP/1.1", b"Content-Length: %d" % (MAX_BODY + 1))
        self.protocol.dataReceived(b"x" * MAX_BODY)
        assert not self.transport.disconnecting
        self.protocol.dataReceived(b"x")
        assert self.transport.disconnecting
        self.assert_refused(self.transport.value())

    def test_a_refused_body_is_not_read_for_ever(self) -> None:
        self.send(b"POST / HTTP/1.1", b"Content-Length: %d" % 10**15)
        for _ in range(MAX_DISCARDED // 65536):
            self.protocol.dataReceived(b"x" * 65536)
        assert not self.transport.disconnecting
        self.protocol.dataReceived(b"x")
        assert self.transport.disconnecting

    def test_a_chunked_body_is_refused_when_it_passes_the_limit(self) -> None:
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        self.send(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked")
        for _ in range(MAX_BODY // 1024):
            self.protocol.dataReceived(chunk)
        assert self.transport.value() == b""
        self.protocol.dataReceived(chunk)
        self.assert_refused(self.transport.value())
        self.protocol.dataReceived(b"0\r\n\r\n")
        assert self.transport.disconnecting

    def test_a_broken_form_is_for_us_to_answer(self) -> None:
        answer = self.send(
            b"POST / HTTP/1.1",
            b"Content-Type: multipart/form-data",
            b"Content-Length: 3",
            body=b"abc",
        )
        assert answer.endswith(b"3 bytes of multipart/form-data")

    def test_two_requests_may_follow_each_other(self) -> None:
        for number in (1, 2):
            answer = self.send(b"GET / HTTP/1.1")
            assert answer.count(b"0 bytes of ") == number

    def test_who_is_silent_is_sent_away(self) -> None:
        self.protocol.dataReceived(b"POST / HTTP/1.1\r\n")
        self.clock.advance(IDLE_TIMEOUT - 1)
        assert not self.transport.disconnecting
        self.clock.advance(1)
        assert self.transport.disconnecting

    def test_headers_are_bounded(self) -> None:
        for number in range(1000):
            self.protocol.dataReceived(b"X-%d: %b\r\n" % (number, b"x" * 100))
            if self.transport.disconnecting:
                return
        self.fail("a thousand headers")

    def test_there_is_no_access_log(self) -> None:
        written: list[str] = []

        class Log:
            def write(self, text: str) -> None:
                written.append(text)

            def close(self) -> None:
                pass

        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)
        self.site.logFile = Log()
        self.send(b"GET /forgery HTTP/1.1")
        assert written == []
