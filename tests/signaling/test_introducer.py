"""
Peers associate with the daemon, and it introduces two of them.
"""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DeliveryMethod,
    DisconnectReason,
    INatPunchListener,
    INetEventListener,
    NatAddressType,
    UnconnectedMessageType,
)
from p2pnet.serialization import NetDataWriter
from p2pnet.signaling.introducer import Introducer, Offline, TooOften
from p2pnet.signaling.records import Record, UnknownPeer
from p2pnet.signaling.tickets import TicketOffice
from tests.signaling.daemon import ALICE, BOB, CAROL, LEASE, Daemon
from tests.signaling.doubles import FakePeer, FakeRequest, counting

A: Address = ("192.0.2.1", 61001)
B: Address = ("198.51.100.2", 61002)
A_INSIDE: Address = ("10.0.0.1", 4001)
B_INSIDE: Address = ("10.0.0.2", 4002)


def presented(ticket: str, internal: Address = A_INSIDE) -> bytes:
    writer = NetDataWriter()
    writer.put_string(ticket)
    writer.put_endpoint(internal)
    return writer.data()


def messages(peer: FakePeer) -> list[dict[str, object]]:
    return [msgspec.json.decode(data) for data in peer.sent]


class IntroducerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(limit=5)
        self.introducer = self.daemon.introducer
        self.registry = self.daemon.registry

    def register(self, peer_id: str, username: str) -> str | None:
        record = Record(peer_id, username, "192.0.2.99", 4000)
        return self.successResultOf(self.registry.register(record, None)).secret

    def request(self, peer_id: str, address: Address, internal: Address) -> FakeRequest:
        data = presented(self.daemon.tickets.issue(peer_id), internal)
        request = FakeRequest(address, data)
        self.introducer.connection_request(request)
        return request

    def associate(
        self, peer_id: str = ALICE, address: Address = A, internal: Address = A_INSIDE
    ) -> FakePeer:
        peer = self.request(peer_id, address, internal).peer
        assert peer is not None
        self.introducer.peer_connected(peer)
        peer.answer_ping()
        return peer

    def observed(self, peer_id: str = ALICE) -> Address | None:
        return self.successResultOf(self.registry.lookup(peer_id)).observed

    def rejected(self, data: bytes) -> str:
        request = FakeRequest(A, data)
        self.introducer.connection_request(request)
        assert request.peer is None
        assert request.rejection is not None
        reason: str = msgspec.json.decode(request.rejection)["reason"]
        return reason


class AssociationTests(IntroducerCase):
    def test_it_listens(self) -> None:
        verifyObject(INetEventListener, self.introducer)
        verifyObject(INatPunchListener, self.introducer)
        assert self.daemon.manager.nat.listener is self.introducer

    def test_a_peer_with_a_ticket_is_observed_and_told_where(self) -> None:
        self.register(ALICE, "alice")
        peer = self.associate()
        assert self.observed() == A
        assert messages(peer) == [{"type": "welcome", "ip": A[0], "port": A[1]}]

    def test_a_forged_source_address_is_never_observed(self) -> None:
        """
        Who cannot receive where it claims to be answers no ping (TRAPS T5, T8).
        """
        self.register(ALICE, "alice")
        request = self.request(ALICE, A, A_INSIDE)
        assert request.peer is not None
        assert self.observed() is None
        assert request.peer.sent == []

    def test_a_bad_ticket_is_refused_with_the_reason(self) -> None:
        assert self.rejected(presented("no ticket")) == "the ticket is not valid"

    def test_a_ticket_is_good_for_one_association(self) -> None:
        self.register(ALICE, "alice")
        data = presented(self.daemon.tickets.issue(ALICE))
        self.introducer.connection_request(FakeRequest(A, data))
        assert self.rejected(data) == "the ticket is not valid"

    def test_what_is_no_request_is_refused(self) -> None:
        for data in (b"", b"\xff" * 40, presented("t")[:-1], presented("x" * 300)):
            assert self.rejected(data) == "this is not an association request"

    def test_an_expired_request_is_let_be(self) -> None:
        self.register(ALICE, "alice")
        request = FakeRequest(A, presented(self.daemon.tickets.issue(ALICE)))
        request.expired = True
        self.introducer.connection_request(request)
        assert not self.introducer._arriving

    def test_an_ended_association_is_no_longer_observed(self) -> None:
        self.register(ALICE, "alice")
        self.associate().lose(DisconnectReason.TIMEOUT)
        assert self.observed() is None

    def test_a_newer_association_replaces_the_old_one(self) -> None:
        self.register(ALICE, "alice")
        old = self.associate()
        new = self.associate(address=B)
        assert self.observed() == B
        self.introducer.peer_disconnected(old, None)  # type: ignore[arg-type]
        old.answer_ping()
        assert self.observed() == B
        new.lose(DisconnectReason.TIMEOUT)
        assert self.observed() is None

    def test_the_old_association_stands_until_the_new_one_is_proven(self) -> None:
        self.register(ALICE, "alice")
        old = self.associate()
        arriving = self.request(ALICE, B, A_INSIDE).peer
        assert arriving is not None
        assert self.observed() == A
        arriving.lose(DisconnectReason.TIMEOUT)
        assert self.observed() == A
        old.answer_ping()
        assert self.observed() == A

    def test_only_one_association_of_a_peer_arrives_at_a_time(self) -> None:
        self.register(ALICE, "alice")
        for _ in range(50):
            self.request(ALICE, A, A_INSIDE)
        assert len(self.introducer._arriving) == 1

    def test_associations_are_limited(self) -> None:
        for number in range(5):
            peer_id = f"{number:08}-0000-4000-8000-000000000000"
            self.register(peer_id, "x")
            self.associate(peer_id)
        data = presented(self.daemon.tickets.issue(ALICE))
        assert self.rejected(data) == "too many associations"
        # Who is in already may come back.
        self.associate("00000000-0000-4000-8000-000000000000", address=B)

    def test_who_has_unregistered_meanwhile_is_sent_away(self) -> None:
        peer = self.associate(CAROL)
        assert peer.sent == []
        assert not self.introducer._standing

    def test_an_association_keeps_its_registration_alive(self) -> None:
        self.register(ALICE, "alice")
        peer = self.associate()
        for _ in range(200):
            self.daemon.clock.advance(1)
            peer.answer_ping()
        assert self.successResultOf(self.registry.lookup(ALICE)).online
        self.daemon.clock.advance(LEASE)
        assert not self.successResultOf(self.registry.lookup(ALICE)).online

    def test_forgetting_a_peer_closes_its_associations(self) -> None:
        self.register(ALICE, "alice")
        standing = self.associate()
        arriving = self.request(ALICE, B, A_INSIDE).peer
        assert arriving is not None
        self.introducer.forget(ALICE)
        self.introducer.forget(BOB)
        for peer in (standing, arriving):
            assert peer.state is ConnectionState.DISCONNECTED
        assert not self.introducer._standing
        assert not self.introducer._arriving

    def test_a_registry_in_trouble_costs_the_association_only(self) -> None:
        class Broken:
            def observe(self, peer_id: str, endpoint: Address | None) -> Deferred[None]:
                return fail(OSError("no connection"))

        introducer = Introducer(
            Broken(),  # type: ignore[arg-type]
            self.daemon.tickets,
            clock=self.daemon.clock,
            token=counting("token"),
        )
        request = FakeRequest(A, presented(self.daemon.tickets.issue(ALICE)))
        introducer.connection_request(request)
        assert request.peer is not None
        request.peer.answer_ping()
        assert request.peer.sent == []
        assert not introducer._standing
        assert len(self.flushLoggedErrors(OSError)) == 1


class IntroductionTests(IntroducerCase):
    def setUp(self) -> None:
        super().setUp()
        self.register(ALICE, "alice")
        self.register(BOB, "bob")
        self.introductions = self.daemon.manager.nat.introductions
        self.daemon.wire.punching = False

    def test_both_get_an_offer_and_the_introduction(self) -> None:
        alice, bob = self.associate(), self.associate(BOB, B, B_INSIDE)
        offer = self.successResultOf(self.introducer.introduce(ALICE, BOB))
        assert (offer.peer_id, offer.username) == (BOB, "bob")
        assert messages(alice)[1:] == [
            {"type": "offer", "token": offer.token, "peer_id": BOB, "username": "bob"}
        ]
        assert messages(bob)[1:] == [
            {"type": "offer", "token": offer.token, "peer_id": ALICE, "username": "alice"}
        ]
        assert self.introductions == [(A, A, B, B, offer.token)]

    def test_every_introduction_has_a_token_of_its_own(self) -> None:
        self.associate()
        self.associate(BOB, B)
        one = self.successResultOf(self.introducer.introduce(ALICE, BOB))
        other = self.successResultOf(self.introducer.introduce(BOB, ALICE))
        assert one.token != other.token

    def internals(self, a: Address, b: Address, address: Address = (A[0], 61009)) -> list[Address]:
        self.associate(ALICE, A, a)
        self.associate(BOB, address, b)
        self.successResultOf(self.introducer.introduce(ALICE, BOB))
        a_told, _, b_told, _, _ = self.introductions[-1]
        return [a_told, b_told]

    def test_behind_one_nat_they_are_told_of_each_others_inside(self) -> None:
        assert self.internals(A_INSIDE, B_INSIDE) == [A_INSIDE, B_INSIDE]

    def test_strangers_are_told_no_inside(self) -> None:
        assert self.internals(A_INSIDE, B_INSIDE, B) == [A, B]

    def test_nobody_is_made_to_punch_at_a_third_party(self) -> None:
        other = (A[0], 61009)
        for inside in ("8.8.8.8", "224.0.0.1", "0.0.0.0", "255.255.255.255"):
            assert self.internals((inside, 53), B_INSIDE) == [A, B_INSIDE]
        assert self.internals(A_INSIDE, ("2606:4700::1", 53)) == [A_INSIDE, other]

    def test_without_a_nat_the_inside_is_the_outside(self) -> None:
        assert self.internals(A, B_INSIDE) == [A, B_INSIDE]

    def test_who_is_not_associated_is_offline(self) -> None:
        self.associate()
        error = self.failureResultOf(self.introducer.introduce(ALICE, BOB), Offline).value
        assert error.peer_id == BOB
        error = self.failureResultOf(self.introducer.introduce(BOB, ALICE), Offline).value
        assert error.peer_id == BOB

    def test_who_is_not_registered_is_unknown(self) -> None:
        self.associate()
        self.failureResultOf(self.introducer.introduce(ALICE, CAROL), UnknownPeer)

    def test_who_has_just_gone_is_offline(self) -> None:
        self.associate()
        bob = self.associate(BOB, B)
        bob.state = ConnectionState.DISCONNECTED
        self.failureResultOf(self.introducer.introduce(ALICE, BOB), Offline)
        assert self.introductions == []

    def test_nobody_asks_without_end(self) -> None:
        self.associate()
        self.associate(BOB, B)
        for _ in range(10):
            self.successResultOf(self.introducer.introduce(ALICE, BOB))
        error = self.failureResultOf(self.introducer.introduce(ALICE, BOB), TooOften).value
        assert 0 < error.retry_after <= 1
        self.successResultOf(self.introducer.introduce(BOB, ALICE))
        self.daemon.clock.advance(1)
        self.successResultOf(self.introducer.introduce(ALICE, BOB))

    def test_detached_it_introduces_nobody(self) -> None:
        introducer = Introducer(
            self.registry, self.daemon.tickets, clock=self.daemon.clock, token=counting("t")
        )
        self.failureResultOf(introducer.introduce(ALICE, BOB), Offline)

    def test_what_does_not_concern_it_changes_nothing(self) -> None:
        peer = FakePeer(A, self.introducer)
        peer.tag = "somebody else's"
        self.introducer.network_latency_update(peer, 0.1)
        self.introducer.network_receive(peer, b"\x00", 0, DeliveryMethod.UNRELIABLE)
        self.introducer.network_receive_unconnected(A, b"", UnconnectedMessageType.BROADCAST)
        self.introducer.network_error(None, OSError())
        self.introducer.nat_introduction_request(A_INSIDE, A, "token")
        self.introducer.nat_introduction_success(A, NatAddressType.INTERNAL, "token")
        assert self.introductions == []


@given(st.binary(max_size=400))
def test_any_connection_data_is_survived(data: bytes) -> None:
    daemon = Daemon()
    request = FakeRequest(A, data)
    daemon.introducer.connection_request(request)
    assert request.peer is None
    assert request.rejection is not None


def test_a_ticket_of_another_daemon_is_refused() -> None:
    daemon = Daemon()
    foreign = TicketOffice(b"another key", daemon.clock.seconds, counting("nonce"))
    request = FakeRequest(A, presented(foreign.issue(ALICE)))
    daemon.introducer.connection_request(request)
    assert request.peer is None
