"""
Sessions: introductions, and what the two sides tell each other of where they can be reached.
"""

from __future__ import annotations

from p2pnet.signaling.attendance import Offline
from p2pnet.signaling.between import View
from p2pnet.signaling.introducer import Introducer
from p2pnet.signaling.records import InvalidField, UnknownPeer
from p2pnet.signaling.rest.desk import Desk
from p2pnet.signaling.rest.operations import Answer, operation
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.reading import Call, not_found
from p2pnet.signaling.rest.shapes import Heard, Seeking, SessionSeen, Told
from p2pnet.signaling.sessions import UnknownSession
from p2pnet.signaling.shapes import Spot, Token
from p2pnet.signaling.web import Refused


class SessionEndpoints:
    """
    A session lasts a minute, and is known to its two sides only.
    """

    def __init__(self, desk: Desk) -> None:
        self._introducer: Introducer = desk.introducer

    @operation(
        "POST",
        "/v1/sessions",
        statuses=(201,),
        signed="Basic",
        begins=True,
        repeatable=True,
        problems=(Kind.NOT_FOUND, Kind.OFFLINE, Kind.TOO_OFTEN),
    )
    async def begin(self, call: Call, body: Seeking) -> Answer[SessionSeen]:
        """
        Get introduced to a peer.

        Both sides need a UDP association with the server, over which they get their offers.
        """
        asker = await call.asker()
        if asker.peer_id == body.to:
            raise InvalidField("to", "must be another peer than the asker")
        try:
            offer = await self._introducer.introduce(asker.peer_id, body.to, punch=False)
        except UnknownPeer:
            raise not_found("no such peer within your reach") from None
        except Offline as offline:
            if offline.peer_id == asker.peer_id:
                raise Refused.because(
                    Kind.OFFLINE, "you have no UDP association", field="from"
                ) from None
            raise Refused.because(Kind.OFFLINE, "the peer is offline", field="to") from None
        view = await self._view(offer.token, asker.peer_id)
        return Answer(_seen(view), 201, (("Location", f"/v1/sessions/{offer.token}"),))

    @operation("GET", "/v1/sessions/{token}", signed="Basic", problems=(Kind.NOT_FOUND,))
    async def look_up(self, call: Call, token: Token) -> SessionSeen:
        """
        An introduction in which the asker is one of the two.
        """
        asker = await call.asker()
        return _seen(await self._view(token, asker.peer_id))

    @operation(
        "DELETE",
        "/v1/sessions/{token}",
        statuses=(204,),
        signed="Basic",
        problems=(Kind.NOT_FOUND,),
    )
    async def end(self, call: Call, token: Token) -> None:
        """
        End a session: nothing more is passed on in it.
        """
        asker = await call.asker()
        try:
            await self._introducer.end(token, asker.peer_id)
        except (UnknownPeer, UnknownSession):
            raise _no_session() from None

    @operation(
        "GET", "/v1/sessions/{token}/candidates", signed="Basic", problems=(Kind.NOT_FOUND,)
    )
    async def candidates(self, call: Call, token: Token) -> Heard:
        """
        Where the other side is seen, and what it has told of where else it can be reached.
        """
        asker = await call.asker()
        view = await self._view(token, asker.peer_id)
        return Heard([view.offer.observed, *view.heard])

    @operation(
        "POST",
        "/v1/sessions/{token}/candidates",
        statuses=(202,),
        signed="Basic",
        problems=(Kind.NOT_FOUND,),
    )
    async def tell(self, call: Call, token: Token, body: Told) -> None:
        """
        Tell the other side where else the asker can be reached.

        The server passes on what may be dialled: private addresses only if both are seen at one
        public address, 16 candidates of a side in all. The rest it drops without a word.
        """
        asker = await call.asker()
        spots = [Spot(each.kind, each.ip, each.port) for each in body.candidates]
        try:
            await self._introducer.tell(token, asker.peer_id, spots)
        except (UnknownPeer, UnknownSession):
            raise _no_session() from None

    async def _view(self, token: str, peer_id: str) -> View:
        try:
            return await self._introducer.session(token, peer_id)
        except (UnknownPeer, UnknownSession):
            raise _no_session() from None


def _no_session() -> Refused:
    return not_found("you are in no session of that token")


def _seen(view: View) -> SessionSeen:
    offer = view.offer
    return SessionSeen(
        offer.token,
        offer.peer_id,
        offer.username,
        offer.key,
        offer.role,
        offer.observed,
        offer.together,
        offer.nat,
        max(0.0, view.left),
    )
