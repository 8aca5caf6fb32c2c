"""
Asks a daemon in memory over HTTP.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.signaling.rest.problems import Kind
from tests.signaling.arrivals import A_INSIDE, A, presented
from tests.signaling.daemon import ALICE, SERVER, Daemon
from tests.signaling.doubles import FakePeer, FakeRequest

GOOD = {"peer_id": ALICE, "username": "alice", "port": 4000}


class Reply:
    """
    An answer, read.
    """

    def __init__(self, code: int, headers: Any, body: bytes) -> None:
        self.code = code
        self.body = body
        self._headers = headers

    def header(self, name: str) -> str | None:
        values = self._headers.getRawHeaders(name)
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class APICase(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(limit=5)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Reply:
        return self.successResultOf(self.begin(method, path, body, **more))

    def begin(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        secret: str | None = None,
        by: tuple[str, str] | None = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Deferred[Reply]:
        """
        Ask, and do not wait for the answer.

        :param secret: for Bearer.
        :param by: name and secret for Basic.
        """
        sent: dict[str, str | bytes] = {}
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else msgspec.json.encode(body)
        if secret is not None:
            sent["Authorization"] = f"Bearer {secret}"
        if by is not None:
            sent["Authorization"] = f"Basic {b64encode(':'.join(by).encode()).decode()}"
        sent.update(headers or {})
        return Deferred.fromCoroutine(self._reply(method, path, sent, body))

    async def _reply(
        self, method: str, path: str, sent: dict[str, str | bytes], body: bytes | None
    ) -> Reply:
        response = await self.daemon.treq.request(
            method,
            SERVER + path,
            headers=sent,
            data=body,
            allow_redirects=False,
            reactor=self.daemon.clock,
        )
        content = await self.daemon.treq.content(response)
        return Reply(response.code, response.headers, content)

    def good(self, *args: Any, **more: Any) -> Any:
        reply = self.ask(*args, **more)
        assert reply.code == 200, reply.body
        assert reply.header("Content-Type") == "application/json"
        assert reply.header("Cache-Control") == "no-store"
        return reply.json

    def problem(
        self, status: int, *args: Any, field: str | None = None, **more: Any
    ) -> dict[str, Any]:
        reply = self.ask(*args, **more)
        assert reply.code == status, reply.body
        assert reply.header("Content-Type") == "application/problem+json"
        problem: dict[str, Any] = reply.json
        assert problem["type"] == "about:blank"
        assert problem["title"]
        assert problem["status"] == status
        assert problem["detail"]
        assert problem.get("field") == field
        assert (reply.header("WWW-Authenticate") == "Bearer") is (status == 401)
        return problem | {"headers": reply}

    def register(self, peer_id: str = ALICE, username: str = "alice", **more: Any) -> Any:
        fields = GOOD | {"peer_id": peer_id, "username": username}
        return self.good("POST", "/register", fields, **more)

    def associate(self, ticket: str, address: Any = A) -> FakePeer:
        request = FakeRequest(address, presented(ticket, A_INSIDE))
        self.daemon.introducer.attendance.connection_request(request)
        assert request.peer is not None
        request.peer.answer_ping()
        return request.peer


class V1Case(APICase):
    """
    Asks for what is under ``/v1``.
    """

    def done(self, status: int, *args: Any, **more: Any) -> Any:
        """
        The JSON of an answer with that status; None without a body.
        """
        reply = self.ask(*args, **more)
        assert reply.code == status, reply.body
        if not reply.body:
            return None
        assert reply.header("Content-Type") == "application/json"
        return reply.json

    def refused(
        self, kind: Kind, *args: Any, field: str | None = None, **more: Any
    ) -> Reply:
        """
        The answer, which is a problem of that kind.
        """
        reply = self.ask(*args, **more)
        self.assert_problem(reply, kind, field)
        return reply

    def assert_problem(self, reply: Reply, kind: Kind, field: str | None = None) -> None:
        assert reply.code == kind.status, reply.body
        assert reply.header("Content-Type") == "application/problem+json"
        problem = reply.json
        assert problem["type"] == kind.uri, problem
        assert problem["title"] == kind.title
        assert problem["status"] == kind.status
        assert problem["detail"]
        assert problem.get("field") == field, problem
        challenged = (reply.header("WWW-Authenticate") or "").startswith("Basic ")
        assert challenged is (kind.status == 401)
        if kind.status in (429, 503):
            assert int(reply.header("Retry-After") or "") >= 1

    def put(
        self, peer_id: str = ALICE, username: str = "alice", status: int = 201, **more: Any
    ) -> Any:
        """
        Register.
        """
        body = {"username": username, "port": 4000} | more
        return self.done(status, "PUT", f"/v1/peers/{peer_id}", body, by=owner(peer_id))


def owner(peer_id: str) -> tuple[str, str]:
    """
    Its credentials, in these tests.
    """
    return peer_id, peer_id[0] * 40
