"""
The REST API seen from a peer: calls in, typed answers or errors out.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct
from twisted.internet.defer import Deferred

from p2pnet.interfaces import KnownPeer
from p2pnet.signaling.addresses import literal_ip
from p2pnet.signaling.identity import KeyPair, statement
from p2pnet.signaling.records import InvalidField, Listing, valid_peer_id, valid_username
from p2pnet.signaling.shapes import (
    Listings,
    Port,
    Probed,
    Problem,
    Registered,
    Relay,
    UdpEndpoint,
    decode,
    encode,
)
from p2pnet.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SHOWN: Final = 200
"""Characters of another's text in an error of ours."""
PAGE: Final = 1000
"""Peers to ask for at once."""
MAX_PEERS: Final = 100_000
"""That a server may tell us of."""
_ALSO_FINE: Final = (200, 201)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came back, whole.

    :ivar status: of HTTP.
    :ivar retry_after: seconds for which the server wants not to be asked; 0 if it says nothing.
    """

    status: int
    body: bytes
    retry_after: float = 0.0


class NoAnswer(Exception):
    """
    No answer came, or none that makes sense.  The text says why, for a person.

    :ivar retry_after: see `Answer`.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class Refused(Exception):
    """
    The server understood and refuses.

    :ivar status: the HTTP status.
    :ivar field: which field of the request is to blame, if one is.
    :ivar kind: which of the documented problems it is; empty for none of its own.
    :ivar retry_after: see `Answer`.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        kind: str = "",
        retry_after: float = 0.0,
    ) -> None:
        self.status = status
        self.field = field
        self.kind = kind
        self.retry_after = retry_after
        super().__init__(detail)


class HTTP(Protocol):
    """
    The little of HTTP we need; `p2pnet.signaling.http` has it over treq.
    """

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
        Send one request and collect the answer, within bounds of time and size.

        :param body: JSON.
        :param name: whose secret it is, for ``Authorization: Basic``; None for Bearer.
        :raise NoAnswer: nothing came in time.
        """


@dataclass(frozen=True, slots=True)
class Wish:
    """
    How we want to be registered, besides under our name.

    :ivar room: to be in; None for none.  Who comes first opens it.
    :ivar password: of the room.
    :ivar key: that the registration is to be bound to; None for none.
    """

    room: str | None = None
    password: str | None = None
    key: KeyPair | None = None

    @property
    def is_plain(self) -> bool:
        """
        There is nothing that a server of any age would not know.
        """
        return self.room is None and self.key is None


class _Endpoint(Struct, frozen=True):
    ip: str
    port: Port


class _Peer(Struct, frozen=True):
    peer_id: str
    username: str
    status: str
    endpoint: _Endpoint | None = None
    key: str | None = None


class _Peers(Struct, frozen=True):
    peers: list[_Peer]
    next: str | None = None


class _Registration(Struct, frozen=True):
    peer: _Peer
    lease: float
    udp: UdpEndpoint
    ticket: str
    relays: list[Relay] = []


class _Challenge(Struct, frozen=True):
    challenge: str


class Directory:
    """
    The REST API of a daemon, or of one of several that share a registry.

    Every call raises `NoAnswer` and `Refused`.

    :param servers: ``http://HOST[:PORT]``, a path allowed; the first one is asked until `move_on`.
    :param wish: how we want to be registered.
    :raise ValueError: ``servers`` are no such URLs, or there is none.
    """

    def __init__(self, http: HTTP, servers: Sequence[str], wish: Wish | None = None) -> None:
        if not servers:
            raise ValueError("there must be a server")
        self._hosts: list[tuple[str, str, str]] = []
        for server in servers:
            parts = urlsplit(server)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"server {server!r} is not a URL such as http://HOST:8000")
            self._hosts.append((server.rstrip("/"), parts.hostname, parts.netloc))
        self._http = http
        self._wish = wish or Wish()
        self._current = 0
        self._tried = 1

    @property
    def server(self) -> str:
        """
        Which is asked now.
        """
        return self._hosts[self._current][0]

    @property
    def host(self) -> str:
        """
        Of that server: a name or literal IP.
        """
        return self._hosts[self._current][1]

    @property
    def has_others(self) -> bool:
        """
        There is more than one server.
        """
        return len(self._hosts) > 1

    def move_on(self) -> bool:
        """
        Ask the next one from now on.

        :return: it was not asked since `stay`, so that there is some hope.
        """
        self._current = (self._current + 1) % len(self._hosts)
        self._tried += 1
        if self._tried <= len(self._hosts):
            return True
        self._tried = 1
        return False

    def stay(self) -> None:
        """
        This one serves us.
        """
        self._tried = 1

    async def register(
        self, peer_id: str, username: str, port: int, secret: str | None, *, away: bool = False
    ) -> Registered:
        """
        Register, or refresh what ``secret`` owns.
        """
        fields: dict[str, Any] = {"peer_id": peer_id, "username": username, "port": port}
        if self._wish.is_plain or secret is None:
            answer: Registered = await self._ask("POST", "/register", Registered, fields, secret)
            return answer
        del fields["peer_id"]
        fields["away"] = away
        if self._wish.room is not None:
            fields["room"] = {"name": self._wish.room}
            if self._wish.password is not None:
                fields["room"]["password"] = self._wish.password
        found = await self._put(peer_id, fields, secret)
        return Registered(
            "success",
            "",
            peer_id,
            "",
            found.lease,
            found.udp,
            found.ticket,
            relays=found.relays,
        )

    async def _put(self, peer_id: str, fields: dict[str, Any], secret: str) -> _Registration:
        key = self._wish.key
        try:
            found = await self._put_in_room(peer_id, fields, secret)
        except Refused as refused:
            if key is None or refused.status not in (401, 403):
                raise
        else:
            if key is None or found.peer.key == key.public.hex():
                return found
        # It is not bound to our key yet; or it is, and does not know our secret.
        challenge = await self._ask("POST", "/v1/challenge", _Challenge, {"peer_id": peer_id})
        said = statement(self._hosts[self._current][2], peer_id, challenge.challenge)
        proof = {
            "key": key.public.hex(),
            "challenge": challenge.challenge,
            "signature": key.sign(said).hex(),
        }
        return await self._put_in_room(peer_id, {**fields, "proof": proof}, secret)

    async def _put_in_room(
        self, peer_id: str, fields: dict[str, Any], secret: str
    ) -> _Registration:
        path = f"/v1/peers/{peer_id}"
        found: _Registration
        try:
            found = await self._ask("PUT", path, _Registration, fields, secret, peer_id)
        except Refused as refused:
            room, password = self._wish.room, self._wish.password
            if refused.kind != "not-admitted" or room is None or password is None:
                raise
            # Perhaps nobody has opened it yet.
            owner = sha256(f"room {room} {secret}".encode()).hexdigest()
            wanted = {"name": room, "password": password}
            try:
                await self._ask("POST", "/v1/rooms", Any, wanted, owner, room)
            except Refused:
                raise refused from None
            found = await self._ask("PUT", path, _Registration, fields, secret, peer_id)
        return found

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

    async def peers(self, peer_id: str, secret: str | None) -> list[KnownPeer]:
        """
        Everybody registered, as far as we may see them.  Entries no honest server could have are
        left out.
        """
        try:
            found = await self._pages(peer_id, secret)
        except Refused as refused:
            if refused.status != 404:
                raise
            # A server that knows no ``/v1`` yet.
            answer: Listings = await self._ask("GET", "/peers", Listings)
            found = [_listed(each) for each in answer.peers]
        return [each for each in found if _is_sane(each)]

    async def _pages(self, peer_id: str, secret: str | None) -> list[KnownPeer]:
        found: list[KnownPeer] = []
        after: str | None = "0"
        while after is not None and len(found) < MAX_PEERS:
            path = f"/v1/peers?limit={PAGE}&after={int(after)}"
            page: _Peers = await self._ask("GET", path, _Peers, None, secret, peer_id)
            found += [_known(peer) for peer in page.peers]
            after = page.next if page.next is None or page.next.isdecimal() else None
        return found

    async def _ask(
        self,
        method: str,
        path: str,
        shape: Any,
        fields: dict[str, Any] | None = None,
        secret: str | None = None,
        name: str | None = None,
    ) -> Any:
        body = None if fields is None else encode(fields)
        server = self.server
        answer = await self._http.request(
            method, server + path, body=body, name=name, secret=secret
        )
        try:
            if answer.status in _ALSO_FINE:
                return decode(answer.body, shape)
            problem = decode(answer.body, Problem)
        except ValueError as error:
            raise NoAnswer(
                f"{server} answered {answer.status} and something strange: {shown(str(error))}"
            ) from None
        detail = shown(problem.detail) or f"HTTP {answer.status}"
        if answer.status >= 500:
            raise NoAnswer(f"{server} says: {detail}", answer.retry_after)
        # What has no type of its own is ``about:blank`` (RFC 9457 §4.2.1).
        kind = problem.type.rpartition("/")[2] if "/" in problem.type else ""
        raise Refused(answer.status, detail, problem.field, kind, answer.retry_after)


def shown(text: str) -> str:
    """
    ``text`` of another's making, fit to be printed: no controls (TRAPS T25), and not too long.
    """
    safe = visible(text[:MAX_SHOWN])
    return f"{safe}…" if len(text) > MAX_SHOWN else safe


def _is_sane(peer: KnownPeer) -> bool:
    try:
        valid_username(peer.username)
        return (
            valid_peer_id(peer.peer_id) == peer.peer_id
            and (peer.address is None or literal_ip(peer.address[0]) is not None)
        )
    except InvalidField:
        return False


def _known(peer: _Peer) -> KnownPeer:
    where = peer.endpoint
    address = None if where is None or peer.status == "offline" else (where.ip, where.port)
    return KnownPeer(peer.peer_id, peer.username, address, peer.status == "away")


def _listed(listing: Listing) -> KnownPeer:
    address = (listing.ip, listing.port) if listing.online else None
    return KnownPeer(listing.peer_id, listing.username, address)
