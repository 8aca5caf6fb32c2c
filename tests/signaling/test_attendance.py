"""
Peers associate with the daemon, which sees where they are.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from zope.interface.verify import verifyObject

from p2pnet.interfaces import (
    ConnectionState,
    DisconnectReason,
    INetEventListener,
    UnconnectedMessageType,
)
from p2pnet.reach.mapping import NatMapping
from p2pnet.signaling.shapes import About, UdpEndpoint
from tests.signaling.arrivals import A_INSIDE, A, ArrivalCase, B, messages, presented
from tests.signaling.core import ALICE, BOB, CAROL, LEASE, Core
from tests.signaling.doubles import FakePeer, FakeRequest


class AssociationTests(ArrivalCase):
    def test_it_listens(self) -> None:
        verifyObject(INetEventListener, self.attendance)

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
        self.attendance.connection_request(FakeRequest(A, data))
        assert self.rejected(data) == "the ticket is not valid"

    def test_what_is_no_request_is_refused(self) -> None:
        nobody = presented("t", (A_INSIDE[0], 0))
        for data in (b"", b"\xff" * 40, presented("t")[:-1], presented("x" * 300), nobody):
            assert self.rejected(data) == "this is not an association request"

    def test_an_expired_request_is_let_be(self) -> None:
        self.register(ALICE, "alice")
        request = FakeRequest(A, presented(self.daemon.tickets.issue(ALICE)))
        request.expired = True
        self.attendance.connection_request(request)
        assert not self.attendance._arriving

    def test_an_ended_association_is_no_longer_observed(self) -> None:
        self.register(ALICE, "alice")
        self.associate().lose(DisconnectReason.TIMEOUT)
        assert self.observed() is None

    def test_a_newer_association_replaces_the_old_one(self) -> None:
        self.register(ALICE, "alice")
        old = self.associate()
        new = self.associate(address=B)
        assert self.observed() == B
        self.attendance.peer_disconnected(old, None)  # type: ignore[arg-type]
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
        assert len(self.attendance._arriving) == 1

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
        assert not self.attendance._standing

    def test_an_association_keeps_its_registration_alive(self) -> None:
        self.register(ALICE, "alice")
        peer = self.associate()
        for _ in range(200):
            self.daemon.clock.advance(1)
            peer.answer_ping()
        assert self.successResultOf(self.registry.lookup(ALICE)).online
        self.daemon.clock.advance(LEASE)
        assert not self.successResultOf(self.registry.lookup(ALICE)).online

    def test_who_unregisters_loses_its_associations(self) -> None:
        secret = self.register(ALICE, "alice")
        standing = self.associate()
        arriving = self.request(ALICE, B, A_INSIDE).peer
        assert arriving is not None
        self.successResultOf(self.registry.unregister(ALICE, secret))
        for peer in (standing, arriving):
            assert peer.state is ConnectionState.DISCONNECTED
        assert not self.attendance._standing
        assert not self.attendance._arriving

    def test_a_registry_in_trouble_costs_the_association_only(self) -> None:
        def broken(*_: object) -> Deferred[None]:
            return fail(OSError("no connection"))

        self.register(ALICE, "alice")
        self.patch(self.registry, "associate", broken)
        assert self.associate().sent == []
        assert self.attendance.count == 0
        assert len(self.flushLoggedErrors(OSError)) == 1

    def test_the_welcome_tells_of_the_observers_there_are(self) -> None:
        self.register(ALICE, "alice")
        self.daemon.observers = [UdpEndpoint(9051), UdpEndpoint(9051, "203.0.113.11")]
        peer = self.associate()
        assert messages(peer)[0]["observers"] == [
            {"port": 9051, "host": ""},
            {"port": 9051, "host": "203.0.113.11"},
        ]

    def test_nobody_listens_to_who_has_not_proven_its_address(self) -> None:
        self.register(ALICE, "alice")
        peer = self.request(ALICE, A, A_INSIDE).peer
        assert peer is not None
        self.say(peer, About("none"))
        peer.answer_ping()
        assert self.attendance.find(ALICE).mapping is NatMapping.UNKNOWN

    def test_who_is_behind_which_nat_is_counted_while_it_is_there(self) -> None:
        for peer_id, nat in ((ALICE, "none"), (BOB, "endpoint-independent"), (CAROL, "none")):
            self.register(peer_id, "x")
            peer = self.associate(peer_id)
            self.say(peer, About(nat))
        assert self.attendance.mappings() == {"none": 2, "endpoint-independent": 1}
        peer.lose(DisconnectReason.TIMEOUT)
        assert self.attendance.mappings() == {"none": 1, "endpoint-independent": 1}

    def test_of_a_nat_only_words_that_mean_something_are_kept(self) -> None:
        self.register(ALICE, "alice")
        peer = self.associate()
        self.say(peer, About("none"))
        for nat in ("cone", "", "\x1b[31m", "x" * 33):
            self.say(peer, About(nat))
        assert self.attendance.find(ALICE).mapping is NatMapping.NONE
        assert self.introducer.drops == {"unknown NAT": 3, "not understood": 1}

    def test_a_new_association_may_be_behind_another_nat(self) -> None:
        self.register(ALICE, "alice")
        self.say(self.associate(), About("none"))
        self.associate(address=B)
        assert self.attendance.mappings() == {"unknown": 1}

    def test_what_does_not_concern_it_changes_nothing(self) -> None:
        peer = FakePeer(A, self.attendance)
        peer.tag = "somebody else's"
        self.attendance.network_latency_update(peer, 0.1)
        self.say(peer, About("none"))
        self.attendance.network_receive_unconnected(A, b"", UnconnectedMessageType.BROADCAST)
        self.attendance.network_error(None, OSError())
        assert self.attendance.mappings() == {}
        assert self.introducer.drops == {}


@given(st.binary(max_size=400))
def test_any_connection_data_is_survived(data: bytes) -> None:
    daemon = Core()
    request = FakeRequest(A, data)
    daemon.introducer.attendance.connection_request(request)
    assert request.peer is None
    assert request.rejection is not None


def test_a_ticket_of_another_daemon_is_refused() -> None:
    daemon = Core()
    other = Core()
    other.registry.key = b"another key"
    request = FakeRequest(A, presented(other.tickets.issue(ALICE)))
    daemon.introducer.attendance.connection_request(request)
    assert request.peer is None
