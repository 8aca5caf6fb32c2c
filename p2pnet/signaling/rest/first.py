"""
The endpoints from before ``/v1``, as their clients know them.
"""

from __future__ import annotations

from math import ceil

from msgspec import UNSET

from p2pnet.signaling.allowance import TooOften
from p2pnet.signaling.attendance import Offline
from p2pnet.signaling.records import (
    Listing,
    NotOwner,
    Record,
    UnknownPeer,
    valid_peer_id,
    valid_port,
    valid_username,
)
from p2pnet.signaling.rest.desk import Desk
from p2pnet.signaling.rest.operations import operation
from p2pnet.signaling.rest.reading import Call
from p2pnet.signaling.rest.shapes import Daemon, Done, Listed, Probe, Register, ToIntroduce
from p2pnet.signaling.shapes import (
    Introduction,
    Listings,
    Probed,
    Registered,
    Whereabouts,
)
from p2pnet.signaling.web import (
    Refused,
    bearer,
    caller_of,
    fields_of,
    not_owner,
    path_id,
    required,
    unauthorized,
)


class FirstEndpoints:
    """
    Registration, lookup, introduction and probes.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._registry = desk.registry

    @operation("GET", "/status", heavy=True, old=True)
    async def status(self, call: Call) -> Daemon:
        """
        Who is registered, in short, and what NATs they are behind.
        """
        census = await self._registry.census()
        records = await self._listed()
        return Daemon(
            "running",
            census.registered,
            census.online,
            [Listed(record.peer_id, record.username, record.online) for record in records],
            self._desk.introducer.attendance.mappings(),
        )

    @operation("GET", "/peers", heavy=True, old=True)
    async def peers(self, call: Call) -> Listings:
        """
        Everybody who is in no room, if the server lists them.
        """
        listings = [_listing(record) for record in await self._listed()]
        return Listings(listings, len(listings))

    @operation("GET", "/peer/{peer_id}", old=True)
    async def peer(self, call: Call, peer_id: str) -> Whereabouts:
        """
        Where an online peer is, that is in no room.
        """
        try:
            record: Record = await self._registry.lookup(path_id(peer_id))
        except UnknownPeer:
            raise Refused(404, "no such peer", field="peer_id") from None
        if not self._desk.policy.reaches(None, record.room):
            raise Refused(404, "no such peer", field="peer_id")
        if not record.online:
            raise Refused(404, "the peer is offline", field="peer_id")
        ip, port = record.endpoint
        observed = record.observed is not None
        return Whereabouts(record.peer_id, record.username, ip, port, observed)

    @operation("DELETE", "/peer/{peer_id}", signed="Bearer", old=True)
    async def delete(self, call: Call, peer_id: str) -> Done:
        """
        End a registration at once.
        """
        peer_id = path_id(peer_id)
        secret = bearer(call.request)
        try:
            await self._registry.unregister(peer_id, secret)
        except UnknownPeer:
            raise Refused(404, "no such peer", field="peer_id") from None
        except NotOwner:
            raise not_owner(secret) from None
        return Done("success", f"{peer_id} is unregistered")

    @operation("POST", "/register", signed="Bearer", begins=True, old=True, body=Register)
    async def register(self, call: Call) -> Registered:
        """
        Register, or refresh a registration.

        A new registration may bring a secret of its own, of 32 characters or more; else it is given
        one.  A refresh needs it.
        """
        fields = fields_of(call.request)
        record = Record(
            valid_peer_id(required(fields, "peer_id")),
            valid_username(required(fields, "username")),
            caller_of(call.request),
            valid_port(required(fields, "port")),
        )
        secret = bearer(call.request)
        try:
            registration = await self._registry.register(record, secret)
        except NotOwner:
            raise not_owner(secret) from None
        self._desk.registrations["new" if registration.is_new else "refreshed"] += 1
        return Registered(
            "success",
            f"{record.username} is {'registered' if registration.is_new else 'refreshed'}",
            record.peer_id,
            record.host,
            self._registry.lease,
            self._desk.udp(call),
            self._desk.tickets.issue(record.peer_id),
            UNSET if registration.secret is None else registration.secret,
            self._desk.relays.of(record.peer_id),
        )

    @operation("POST", "/introduce", signed="Bearer", begins=True, old=True, body=ToIntroduce)
    async def introduce(self, call: Call) -> Introduction:
        """
        Introduce two associated peers.

        Both get an offer over their associations, and a LiteNetLib introduction.
        """
        fields = fields_of(call.request)
        caller = valid_peer_id(required(fields, "from"), "from")
        callee = valid_peer_id(required(fields, "to"), "to")
        await self._check_owner(call, caller, "from")
        if caller == callee:
            raise Refused(422, "to must be another peer than from", field="to")
        try:
            offer = await self._desk.introducer.introduce(caller, callee)
        except UnknownPeer:
            raise Refused(404, "no such peer", field="to") from None
        except Offline as offline:
            if offline.peer_id == caller:
                raise Refused(409, "you have no UDP association", field="from") from None
            raise Refused(409, "the peer is offline", field="to") from None
        except TooOften as often:
            raise _too_many("introductions", often) from None
        return Introduction("success", offer.token, offer.peer_id, offer.username)

    @operation("POST", "/v1/probe", signed="Bearer", begins=True, old=True, body=Probe)
    async def probe(self, call: Call) -> Probed:
        """
        Have the server knock at the caller's observed address, as a stranger would.
        """
        fields = fields_of(call.request)
        peer_id = valid_peer_id(required(fields, "peer_id"))
        asked = valid_port(fields["port"]) if "port" in fields else None
        await self._check_owner(call, peer_id, "peer_id")
        try:
            host, port = self._desk.introducer.attendance.find(peer_id).address
            if asked is not None:
                port = asked
            found = await self._desk.prober.probe(peer_id, (host, port))
        except Offline:
            raise Refused(409, "you have no UDP association", field="peer_id") from None
        except TooOften as often:
            raise _too_many("probes", often) from None
        answered = found.service is not None
        return Probed("success", host, port, answered, found.service, found.round_trip)

    async def _listed(self) -> list[Record]:
        if not self._desk.policy.lists(None):
            return []
        return list(await self._registry.listing(None))

    async def _check_owner(self, call: Call, peer_id: str, field: str) -> None:
        secret = bearer(call.request)
        try:
            await self._registry.owned(peer_id, secret)
        except NotOwner:
            raise not_owner(secret, field) from None
        except UnknownPeer:
            raise unauthorized("you are not registered", field) from None


def _too_many(what: str, often: TooOften) -> Refused:
    return Refused(429, f"too many {what}", Retry_After=str(ceil(often.retry_after)))


def _listing(record: Record) -> Listing:
    ip, port = record.endpoint
    return Listing(
        record.peer_id,
        record.username,
        ip,
        port,
        record.online,
        record.last_seen,
        record.observed is not None,
    )
