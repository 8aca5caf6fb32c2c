"""
What strangers send over TCP is bounded before anybody understands it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from p2pnet.signaling.limits import Limits
from p2pnet.signaling.site import MAX_BODY, MAX_DISCARDED, PENANCE, bounded_site
from p2pnet.signaling.turns import SLICE
from tests.logs import log_events


class Echo(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        content: bytes = request.content.read()
        kind = request.getHeader("Content-Type") or ""
        return f"{len(content)} bytes of {kind}".encode()


class Strict(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setResponseCode(429)
        return b"later"


class Broken(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        raise KeyError("precious")


class Wire(StringTransport):
    """
    Remembers whether it was cut.
    """

    aborting = False

    def abortConnection(self) -> None:
        self.aborting = True


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.limits = Limits()
        self.site = bounded_site(Echo(), self.clock, self.limits)
        self.transport = Wire()
        protocol = self.site.buildProtocol(None)
        assert protocol is not None
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)

    def send(self, *lines: bytes, body: bytes = b"") -> bytes:
        self.protocol.dataReceived(b"\r\n".join((*lines, b"", body)))
        answer: bytes = self.transport.value()
        return answer

    def assert_refused(self, answer: bytes, status: int = 413) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), answer
        assert b"Content-Type: application/problem+json" in head
        assert b"Connection: close" in head
        assert b"Content-Length: %d" % len(body) in head
        assert msgspec.json.decode(body)["status"] == status

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

    def test_who_is_silent_between_two_requests_is_sent_away(self) -> None:
        self.send(b"GET / HTTP/1.1")
        self.clock.advance(self.limits.idle_time - 1)
        assert not self.transport.disconnecting
        self.clock.advance(1)
        assert self.transport.disconnecting

    def test_a_request_has_to_be_whole_in_time_however_busily_it_drips(self) -> None:
        """
        A slow head, and a slow body.
        """
        for head in (
            b"GET / HTTP/1.1\r\nX-Slow: ",
            b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n",
        ):
            self.setUp()
            self.protocol.dataReceived(head)
            for _ in range(int(self.limits.request_time) - 1):
                self.clock.advance(1)
                self.protocol.dataReceived(b"x")
            assert not self.transport.disconnecting
            self.clock.advance(1)
            assert self.transport.disconnecting
            self.assert_refused(self.transport.value(), 408)
            self.protocol.connectionLost(Failure(ConnectionDone()))
            assert self.clock.getDelayedCalls() == []

    def test_a_request_that_follows_another_has_its_own_time(self) -> None:
        for _ in range(5):
            self.protocol.dataReceived(b"GET / HT")
            self.clock.advance(self.limits.request_time - 1)
            self.send(b"TP/1.1")
            self.clock.advance(self.limits.idle_time - 1)
        assert not self.transport.disconnecting
        assert self.transport.value().count(b"200 OK") == 5

    def test_who_does_not_take_its_answer_is_cut(self) -> None:
        self.limits.drain_time = self.limits.idle_time / 2
        self.send(b"GET / HTTP/1.1")
        producer = self.transport.producer
        assert producer is not None
        producer.pauseProducing()
        self.clock.advance(self.limits.drain_time - 1)
        producer.resumeProducing()
        producer.pauseProducing()
        self.clock.advance(self.limits.drain_time - 1)
        assert not self.transport.aborting
        self.clock.advance(1)
        assert self.transport.aborting

    def test_who_does_not_take_its_last_answer_is_cut(self) -> None:
        self.send(b"GET / HTTP/1.1", b"Connection: close")
        assert self.transport.disconnecting
        self.clock.advance(self.limits.drain_time - 1)
        assert not self.transport.aborting
        self.clock.advance(1)
        assert self.transport.aborting

    def test_headers_are_bounded_and_the_answer_says_so(self) -> None:
        self.protocol.dataReceived(b"GET / HTTP/1.1\r\n")
        for number in range(1000):
            self.protocol.dataReceived(b"X-%d: %b\r\n" % (number, b"x" * 100))
            if self.transport.disconnecting:
                break
        self.assert_refused(self.transport.value(), 431)

    def test_so_is_their_number_and_each_line(self) -> None:
        lines = b"".join(b"X-%d: 1\r\n" % number for number in range(501))
        self.protocol.dataReceived(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
        self.assert_refused(self.transport.value(), 431)
        self.setUp()
        self.protocol.dataReceived(b"GET / HTTP/1.1\r\nX: " + b"x" * 16_385)
        self.assert_refused(self.transport.value(), 431)
        self.setUp()
        self.protocol.dataReceived(b"GET /" + b"x" * 16_385)
        self.assert_refused(self.transport.value(), 414)

    def test_what_is_no_http_gets_an_answer_all_the_same(self) -> None:
        for bad in (
            b"\x16\x03\x01\x02\x00\r\n",
            b"GET /\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET * HTTP/1.1\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\n\r\n",
        ):
            self.setUp()
            self.protocol.dataReceived(bad)
            assert self.transport.disconnecting, bad
            self.assert_refused(self.transport.value(), 400)

    def test_what_we_fail_at_is_our_fault(self) -> None:
        self.site.resource = Broken()
        answer = self.send(b"GET / HTTP/1.1")
        self.assert_refused(answer, 500)
        assert b"precious" not in answer
        assert len(self.flushLoggedErrors(KeyError)) == 1

    def test_a_network_has_so_many_connections(self) -> None:
        self.limits.connections = 3
        transports = [self.connect(f"192.0.2.{number}") for number in range(4)]
        assert [transport.aborting for transport in transports] == [False, False, False, True]
        assert self.connect("198.51.100.1").value().startswith(b"HTTP/1.1 200")
        transports[0].protocol.connectionLost(Failure(ConnectionDone()))
        assert self.connect("192.0.2.9").value().startswith(b"HTTP/1.1 200")

    def test_who_is_told_to_come_later_is_not_heard_for_a_second(self) -> None:
        """
        Whoever asks on all the same costs nothing meanwhile.
        """
        self.site.resource = Strict()
        assert self.send(b"GET / HTTP/1.1").count(b"HTTP/1.1 429") == 1
        assert self.transport.value().endswith(b"later"), "the answer itself comes at once"
        answer = self.send(b"GET / HTTP/1.1")
        self.clock.advance(PENANCE / 2)
        assert answer.count(b"HTTP/1.1 429") == 1
        self.clock.advance(PENANCE / 2)
        assert self.transport.value().count(b"HTTP/1.1 429") == 2

    def test_nor_does_another_connection_take_its_place(self) -> None:
        self.site.resource = Strict()
        self.limits.connections = 3
        for _ in range(3):
            transport = self.connect("192.0.2.1")
            transport.protocol.connectionLost(Failure(ConnectionDone()))
        assert self.connect("192.0.2.1").aborting
        self.clock.advance(PENANCE)
        assert not self.connect("192.0.2.1").aborting
        assert self.site.doors._of_network.total() == 1

    def test_many_requests_in_one_piece_do_not_keep_others_waiting(self) -> None:
        clock = self.clock

        class Slow(Resource):
            isLeaf = True

            def render(self, request: Any) -> bytes:
                clock.rightNow += SLICE
                return b"done"

        self.site.resource = Slow()
        answers = self.send(*[b"GET / HTTP/1.1\r\n"] * 10)
        assert answers.count(b"HTTP/1.1 200") == 1
        other = self.connect("192.0.2.1")
        assert other.value() == b"", "there is something else to do first"
        clock.advance(0)
        assert other.value().count(b"HTTP/1.1 200") == 1
        for _ in range(20):
            clock.advance(0)
        assert self.transport.value().count(b"HTTP/1.1 200") == 10

    def test_they_keep_their_order_however_they_are_cut(self) -> None:
        clock = self.clock

        class Slow(Echo):
            def render(self, request: Any) -> bytes:
                clock.rightNow += SLICE
                return super().render(request)

        self.site.resource = Slow()
        requests = b"".join(
            b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
            for size in range(40)
        )
        for start in range(0, len(requests), 97):
            self.protocol.dataReceived(requests[start : start + 97])
            if start % 3 == 0:
                clock.advance(0)
        for _ in range(200):
            clock.advance(0)
        answered = re.findall(rb"(\d+) bytes of", self.transport.value())
        assert answered == [b"%d" % size for size in range(40)]

    def test_who_has_gone_before_it_was_its_turn_is_not_answered(self) -> None:
        self.site.turns.take("", lambda: setattr(self.clock, "rightNow", SLICE))
        gone = self.connect("192.0.2.1")
        gone.protocol.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(0)
        assert gone.value() == b""

    def connect(self, host: str) -> Any:
        """
        Somebody from there asks for something.
        """
        address = IPv4Address("TCP", host, 1)
        protocol: Any = self.site.buildProtocol(address)
        transport: Any = Wire(peerAddress=address)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        return transport

    def test_nobody_chooses_what_stands_in_our_log(self) -> None:
        events = log_events(self)
        self.protocol.dataReceived(b"GET /forgery")
        self.clock.advance(self.limits.idle_time + self.limits.drain_time)
        assert events == []

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
