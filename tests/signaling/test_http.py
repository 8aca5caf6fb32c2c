"""
The client's HTTP is bounded in time and size, and its errors are sentences.
"""

from __future__ import annotations

from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from p2pnet.signaling.directory import Answer, NoAnswer
from p2pnet.signaling.http import TreqHTTP, treq_http

URL = "http://127.0.0.1:8000/x"


class Told(Resource):
    """
    Tells what it was asked.
    """

    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setResponseCode(418)
        said = [request.method, request.content.read()]
        for name in (b"content-type", b"authorization"):
            said.append(request.getHeader(name) or b"-")
        return b"|".join(said)


class Busy(Resource):
    """
    Wants not to be asked for a while.
    """

    isLeaf = True

    def __init__(self, wait: str) -> None:
        super().__init__()
        self._wait = wait

    def render(self, request: Any) -> bytes:
        request.setResponseCode(503)
        request.setHeader("Retry-After", self._wait)
        return b"busy"


class Large(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        return b"x" * 1000


class Silent(Resource):
    isLeaf = True
    asked = 0

    def render(self, request: Any) -> int:
        self.asked += 1
        return NOT_DONE_YET


class Halting(Resource):
    """
    Breaks off in the middle.
    """

    isLeaf = True

    def render(self, request: Any) -> int:
        request.setHeader("Content-Length", "10")
        request.write(b"half")
        request.loseConnection()
        return NOT_DONE_YET


class Elsewhere(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.redirect(b"http://127.0.0.1:1/elsewhere")
        return b""


class Failing:
    """
    A treq whose requests fail.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def request(self, *args: object, **options: object) -> Deferred[Any]:
        return fail(self._error)


class HTTPTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def http(self, resource: Resource, **options: Any) -> TreqHTTP:
        return TreqHTTP(StubTreq(resource), self.clock, **options)

    def no_answer(self, result: Deferred[Answer]) -> str:
        return str(self.failureResultOf(result, NoAnswer).value)

    def test_a_request_carries_json_and_the_secret(self) -> None:
        http = self.http(Told())
        answer = self.successResultOf(http.request("POST", URL, body=b"{}", secret="s3"))
        assert answer == Answer(418, b"POST|{}|application/json|Bearer s3")
        answer = self.successResultOf(http.request("GET", URL, name="bob", secret="s3"))
        assert answer == Answer(418, b"GET||-|Basic Ym9iOnMz")
        answer = self.successResultOf(http.request("GET", URL))
        assert answer == Answer(418, b"GET||-|-")

    def test_for_how_long_not_to_ask_again_is_told(self) -> None:
        for said, understood in (
            ("30", 30.0),
            (" 7 ", 7.0),
            ("0", 0.0),
            ("-1", 0.0),
            ("1.5", 0.0),
            ("soon", 0.0),
            ("9" * 10, 0.0),
            ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ):
            answer = self.successResultOf(self.http(Busy(said)).request("GET", URL))
            assert answer == Answer(503, b"busy", understood), said

    def test_an_answer_up_to_the_limit_is_taken(self) -> None:
        http = self.http(Large(), max_answer=1000)
        assert len(self.successResultOf(http.request("GET", URL)).body) == 1000

    def test_a_longer_one_is_not(self) -> None:
        http = self.http(Large(), max_answer=999)
        assert "more than 999 bytes" in self.no_answer(http.request("GET", URL))

    def test_a_silent_server_is_given_up(self) -> None:
        silent = Silent()
        result = self.http(silent).request("GET", URL)
        self.clock.advance(4.9)
        self.assertNoResult(result)
        self.clock.advance(0.1)
        assert self.no_answer(result) == f"{URL} does not answer: no answer within 5 s"
        assert silent.asked == 1
        assert not self.clock.getDelayedCalls()

    def test_an_answer_that_breaks_off_is_none(self) -> None:
        treq: Any = StubTreq(Halting())
        result = TreqHTTP(treq, self.clock).request("GET", URL)
        treq.flush()
        assert "broke" in self.no_answer(result)

    def test_no_redirect_is_followed(self) -> None:
        answer = self.successResultOf(self.http(Elsewhere()).request("GET", URL, secret="s3"))
        assert answer.status == 302

    def test_errors_are_told_in_words(self) -> None:
        for error, words in (
            (ConnectionRefusedError(), "no connection"),
            (DNSLookupError(), "no such host"),
            (RuntimeError("odd"), "the connection broke (RuntimeError)"),
        ):
            result = TreqHTTP(Failing(error), self.clock).request("GET", URL)
            assert self.no_answer(result) == f"{URL} does not answer: {words}"

    def test_a_request_can_be_cancelled(self) -> None:
        result = self.http(Silent()).request("GET", URL)
        result.cancel()
        self.failureResultOf(result)
        assert not self.clock.getDelayedCalls()

    def test_the_real_one_connects_for_each_request_and_gives_up_in_time(self) -> None:
        reactor = MemoryReactorClock()
        http = treq_http(reactor)
        one, other = http.request("GET", URL), http.request("GET", URL)
        assert [client[:2] for client in reactor.tcpClients] == [("127.0.0.1", 8000)] * 2
        reactor.advance(5)
        assert "no answer within 5 s" in self.no_answer(one)
        assert "no answer within 5 s" in self.no_answer(other)

    def test_the_real_one_does_tls(self) -> None:
        reactor = MemoryReactorClock()
        result = treq_http(reactor).request("GET", URL.replace("http:", "https:"))
        assert [client[:2] for client in reactor.tcpClients] == [("127.0.0.1", 8000)]
        reactor.advance(5)
        self.no_answer(result)
