"""
The REST API seen from a peer: calls in, typed answers or errors out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred

from p2pnet.signaling.records import InvalidField, valid_peer_id, valid_username
from p2pnet.signaling.shapes import (
    Listings,
    Probed,
    Problem,
    Registered,
    decode,
    encode,
)
from p2pnet.text import visible

if TYPE_CHECKING:
    from p2pnet.signaling.records import Listing

MAX_SHOWN: Final = 200
"""Characters of another's text in an error of ours."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came back, whole.

    :ivar status: of HTTP.
    """

    status: int
    body: bytes


class NoAnswer(Exception):
    """
    No answer came, or none that makes sense.  The text says why, for a person.
    """


class Refused(Exception):
    """
    The server understood and refuses.

    :ivar status: the HTTP status.
    :ivar field: which field of the request is to blame, if one is.
    """

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        self.status = status
        self.field = field
        super().__init__(detail)


class HTTP(Protocol):
    """
    The little of HTTP we need; `p2pnet.signaling.http` has it over treq.
    """

    def request(
        self, method: str, url: str, *, body: bytes | None = None, secret: str | None = None
    ) -> Deferred[Answer]:
        """
        Send one request and collect the answer, within bounds of time and size.

        :param body: JSON.
        :param secret: for ``Authorization: Bearer``.
        :raise NoAnswer: nothing came in time.
        """


class Directory:
    """
    The REST API of the daemon at ``server``.

    Every call raises `NoAnswer` and `Refused`.

    :param server: ``http://HOST[:PORT]``, a path allowed.
    :raise ValueError: ``server`` is no such URL.
    """

    def __init__(self, http: HTTP, server: str) -> None:
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"server {server!r} is not a URL such as http://HOST:8000")
        self._http = http
        self.server = server.rstrip("/")
        self.host = parts.hostname
        """Of ``server``: a name or literal IP."""

    async def register(
        self, peer_id: str, username: str, port: int, secret: str | None
    ) -> Registered:
        """
        Register, or refresh what ``secret`` owns.
        """
        fields = {"peer_id": peer_id, "username": username, "port": port}
        answer: Registered = await self._ask("POST", "/register", Registered, fields, secret)
        return answer

    async def unregister(self, peer_id: str, secret: str) -> None:
        """
        Remove our registration.
        """
        await self._ask("DELETE", f"/peer/{peer_id}", Any, None, secret)

    async def probe(self, peer_id: str, port: int | None, secret: str) -> Probed:
        """
        Have a stranger knock at where ``peer_id`` is observed, at ``port`` if one is given.
        """
        fields: dict[str, Any] = {"peer_id": peer_id}
        if port is not None:
            fields["port"] = port
        answer: Probed = await self._ask("POST", "/v1/probe", Probed, fields, secret)
        return answer

    async def peers(self) -> list[Listing]:
        """
        Everybody registered.  Entries no honest server could have are left out.
        """
        answer: Listings = await self._ask("GET", "/peers", Listings)
        return [listing for listing in answer.peers if _is_sane(listing)]

    async def _ask(
        self,
        method: str,
        path: str,
        shape: Any,
        fields: dict[str, Any] | None = None,
        secret: str | None = None,
    ) -> Any:
        body = None if fields is None else encode(fields)
        answer = await self._http.request(method, self.server + path, body=body, secret=secret)
        try:
            if answer.status == 200:
                return decode(answer.body, shape)
            problem = decode(answer.body, Problem)
        except ValueError as error:
            raise NoAnswer(
                f"{self.server} answered {answer.status} and something strange: {shown(str(error))}"
            ) from None
        detail = shown(problem.detail) or f"HTTP {answer.status}"
        if answer.status >= 500:
            raise NoAnswer(f"{self.server} says: {detail}")
        raise Refused(answer.status, detail, problem.field)


def shown(text: str) -> str:
    """
    ``text`` of another's making, fit to be printed: no controls (TRAPS T25), and not too long.
    """
    safe = visible(text[:MAX_SHOWN])
    return f"{safe}…" if len(text) > MAX_SHOWN else safe


def _is_sane(listing: Listing) -> bool:
    try:
        valid_username(listing.username)
        return valid_peer_id(listing.peer_id) == listing.peer_id
    except InvalidField:
        return False
