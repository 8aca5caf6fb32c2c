"""
Peers: who registers, and who sees whom.
"""

from __future__ import annotations

from collections.abc import Callable

from p2pnet.signaling.addresses import network_of
from p2pnet.signaling.allowance import Allowance, TooOften
from p2pnet.signaling.identity import is_signed, statement
from p2pnet.signaling.limits import Limits
from p2pnet.signaling.records import (
    MIN_SECRET,
    NotOwner,
    Record,
    UnknownPeer,
    UnknownRoom,
    valid_username,
)
from p2pnet.signaling.rest.desk import Desk
from p2pnet.signaling.rest.operations import Answer, operation
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.reading import (
    Call,
    bad_credentials,
    check_conditions,
    invalid,
    not_found,
    tag_of,
)
from p2pnet.signaling.rest.shapes import (
    Challenge,
    Enrolled,
    Entry,
    ForWhom,
    Peer,
    PeerId,
    Peers,
    PeersQuery,
    Proof,
    Relays,
    Wanted,
)
from p2pnet.signaling.rooms import Busy, NotAdmitted
from p2pnet.signaling.shapes import encode
from p2pnet.signaling.tickets import BadTicket
from p2pnet.signaling.web import Refused


class PeerEndpoints:
    """
    Registrations are put, and belong to whoever holds their secret, or the key they are bound to.

    :param clock: seconds that never go back.
    """

    def __init__(self, desk: Desk, limits: Limits, clock: Callable[[], float]) -> None:
        self._desk = desk
        self._registry = desk.registry
        self._clock = clock
        self._guesses = Allowance(limits.guesses, limit=4096)

    @operation(
        "GET",
        "/v1/peers",
        signed="optional",
        tagged=True,
        problems=(Kind.NOT_LISTED,),
    )
    async def list(self, call: Call, query: PeersQuery) -> Peers:
        """
        The peers that the asker may list.

        Those are the members of the room that it is in; without credentials, or for who is in none,
        those outside all rooms.
        """
        asker = await call.asker_if_any()
        room = asker.room if asker else None
        if not self._desk.policy.lists(room):
            raise Refused.because(Kind.NOT_LISTED, "this server lists no peers to you")
        found = await self._registry.listing(room, int(query.after), query.limit + 1)
        page = found[: query.limit]
        following = str(page[-1].number) if len(found) > len(page) else None
        return Peers([Peer.of(record) for record in page], following)

    @operation(
        "GET",
        "/v1/peers/{peer_id}",
        signed="optional",
        tagged=True,
        problems=(Kind.NOT_FOUND,),
    )
    async def look_up(self, call: Call, peer_id: PeerId) -> Peer:
        """
        One peer, if the asker may see it.

        It is the same whether there is none or it is in another room than the asker.
        """
        asker = await call.asker_if_any()
        try:
            record: Record = await self._registry.lookup(peer_id)
        except UnknownPeer:
            raise not_found("no such peer within your reach") from None
        is_own = asker is not None and asker.peer_id == peer_id
        if not is_own and not self._desk.policy.reaches(asker.room if asker else None, record.room):
            raise not_found("no such peer within your reach")
        return Peer.of(record)

    @operation(
        "PUT",
        "/v1/peers/{peer_id}",
        statuses=(200, 201),
        signed="Basic",
        begins=True,
        problems=(
            Kind.BAD_PROOF,
            Kind.FULL,
            Kind.NOT_ADMITTED,
            Kind.NOT_OWNER,
            Kind.PRECONDITION,
            Kind.TOO_OFTEN,
        ),
    )
    async def register(
        self, call: Call, peer_id: PeerId, body: Wanted
    ) -> Answer[Enrolled]:
        """
        Register, change a registration, or renew its lease.

        The credentials are the peer id and a secret of the owner's choice, of 32 characters or
        more; they own the registration from then on. With a proof of the key that it is bound to,
        or that its id is made from, a lost secret is replaced. ``If-None-Match: *`` registers only
        if there is no such registration, If-Match changes only the state that was seen.
        """
        name, secret = call.shown()
        if name != peer_id:
            raise bad_credentials("these are the credentials of another peer")
        if len(secret) < MIN_SECRET:
            raise invalid("Authorization", f"needs a secret of {MIN_SECRET} characters or more")
        valid_username(body.username)
        proven = await self._proven(call, peer_id, body.proof) if body.proof else None
        present = await self._present(peer_id, secret, proven)
        check_conditions(call, tag_of(encode(Peer.of(present))) if present else None)
        if body.room is not None and (present is None or present.room != body.room.name):
            await self._admit(call, body.room)
        room = body.room.name if body.room else None
        wanted = Record(peer_id, body.username, call.caller, body.port, room=room)
        try:
            registration = await self._registry.register(wanted, secret, proven)
            if registration.record.room is not None and room is None:
                await self._registry.enter(peer_id, None)
            if registration.record.away != body.away:
                await self._registry.set_away(peer_id, body.away)
            record = await self._registry.lookup(peer_id)
        except NotOwner:
            raise Refused.because(Kind.NOT_OWNER, "this peer id is somebody else's") from None
        except UnknownRoom:
            raise _not_admitted() from None
        self._desk.registrations["new" if registration.is_new else "refreshed"] += 1
        peer = Peer.of(record)
        return Answer(
            Enrolled(
                peer,
                self._registry.lease,
                self._desk.udp(call),
                self._desk.tickets.issue(peer_id),
                self._desk.relays.of(peer_id),
            ),
            201 if registration.is_new else 200,
            (("ETag", tag_of(encode(peer))), ("Location", f"/v1/peers/{peer_id}")),
        )

    @operation(
        "DELETE",
        "/v1/peers/{peer_id}",
        statuses=(204,),
        signed="Basic",
        problems=(Kind.PRECONDITION,),
    )
    async def unregister(self, call: Call, peer_id: PeerId) -> None:
        """
        End a registration at once.
        """
        name, secret = call.shown()
        if name != peer_id:
            raise bad_credentials("these are the credentials of another peer")
        present = await call.asker()
        check_conditions(call, tag_of(encode(Peer.of(present))))
        try:
            await self._registry.unregister(peer_id, secret)
        except (UnknownPeer, NotOwner):
            raise bad_credentials("these are not the credentials of a registration") from None

    @operation("POST", "/v1/challenge", statuses=(201,), begins=True)
    async def challenge(self, call: Call, body: ForWhom) -> Challenge:
        """
        A challenge to be signed, for one registration.
        """
        office = self._desk.challenges
        return Challenge(office.issue(body.peer_id), office.lifetime)

    @operation("GET", "/v1/relays", signed="Basic")
    async def relays(self, call: Call) -> Relays:
        """
        TURN servers with fresh credentials, for a registered peer.
        """
        asker = await call.asker()
        return Relays(self._desk.relays.of(asker.peer_id))

    async def _present(self, peer_id: str, secret: str, proven: bytes | None) -> Record | None:
        """
        The registration as it is, for its owner only: to others it makes no difference.
        """
        try:
            present: Record = await self._registry.owned(peer_id, secret)
        except UnknownPeer:
            return None
        except NotOwner:
            if proven is None:
                raise Refused.because(Kind.NOT_OWNER, "this peer id is somebody else's") from None
            present = await self._registry.lookup(peer_id)
            return present if present.key == proven else None
        return present

    async def _proven(self, call: Call, peer_id: str, proof: Proof) -> bytes:
        """
        The key that a proof is of.
        """
        refused = Refused.because(Kind.BAD_PROOF, "the proof is not good", field="proof")
        key, signature = bytes.fromhex(proof.key), bytes.fromhex(proof.signature)
        said = statement(call.header(b"Host"), peer_id, proof.challenge)
        if not is_signed(key, signature, said):
            raise refused
        try:
            if await self._desk.challenges.redeem(proof.challenge) != peer_id:
                raise refused
        except BadTicket:
            raise refused from None
        return key

    async def _admit(self, call: Call, entry: Entry) -> None:
        """
        See that the password is that of the room.
        """
        network, now = network_of(call.caller), self._clock()
        wait = self._guesses.wait(network, now)
        if wait:
            raise TooOften(wait)
        try:
            await self._desk.rooms.admit(entry.name, entry.password)
        except NotAdmitted:
            raise _not_admitted() from None
        except Busy as busy:
            raise TooOften(busy.retry_after) from None
        # Only wrong ones count; but to be right once makes up for none.
        self._guesses.refund(network)


def _not_admitted() -> Refused:
    return Refused.because(
        Kind.NOT_ADMITTED, "there is no such room, or that is not its password", field="room"
    )
