"""
Registered and associated, and staying so: against the real API, with an engine of plain objects.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DeliveryMethod,
    DisconnectReason,
    INetEventListener,
    RelayFailed,
    UnconnectedMessageType,
)
from p2pnet.serialization import NetDataReader
from p2pnet.signaling.directory import Answer, Directory, NoAnswer, Refused
from p2pnet.signaling.membership import Membership
from p2pnet.signaling.shapes import About, Candidates, Registered, Welcome, encode
from tests.signaling.daemon import ALICE, BOB, LEASE, SERVER, UDP, Daemon
from tests.signaling.doubles import FakeManager, FakePeer, FakeRequest, RecordingListener

ALICE_AT: Address = ("192.0.2.1", 4001)
BOB_AT: Address = ("198.51.100.2", 4002)
AROUND: Address = ("100::1", 9050)
"""The daemon's engine, through a relay."""
OWN = "5" * 64
"""What Alice wants to be known by."""


class Line:
    """
    HTTP that can be cut, delayed or answered by the test.

    :ivar deaf: requests arrive, and answers are lost.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._http = daemon.http()
        self.cut = False
        self.held = False
        self.deaf = False
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, Any, str | None]] = []
        self.cancelled = 0

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        name: str | None = None,
        secret: str | None = None,
    ) -> Deferred[Answer]:
        fields = None if body is None else msgspec.json.decode(body)
        self.requests.append((method, url.removeprefix(SERVER), fields, secret))
        if self.cut:
            return fail(NoAnswer("the daemon does not answer"))
        if self.held:
            return Deferred(self._cancel)
        if self.answers:
            return succeed(self.answers.pop(0))
        answer = self._http.request(method, url, body=body, name=name, secret=secret)
        if self.deaf:
            answer.addErrback(lambda _: None)
            return fail(NoAnswer("no answer within 5 s"))
        return answer

    def _cancel(self, _: Deferred[Answer]) -> None:
        self.cancelled += 1

    def count(self, method: str, path: str) -> int:
        return sum(request[:2] == (method, path) for request in self.requests)


class Node:
    """
    One member, its engine, and what it is told.

    :ivar around: how the engine is reached over a relay; None if there is none.
    :ivar detours: how often one was opened, and closed.
    """

    def __init__(
        self,
        daemon: Daemon,
        peer_id: str = ALICE,
        address: Address = ALICE_AT,
        *,
        server: str = SERVER,
        **options: Any,
    ) -> None:
        self.manager = FakeManager(daemon.wire, address, RecordingListener())
        self.line = Line(daemon)
        self.resolved: list[str] = []
        self.answers: list[Registered] = []
        self.welcomes: list[tuple[Welcome, Address]] = []
        self.messages: list[Any] = []
        self.parted_count = 0
        self.around: Address | None = None
        self.detours = [0, 0]
        self.member = Membership(
            self.manager,
            Directory(self.line, [server]),
            self,
            self,
            peer_id=peer_id,
            username="alice",
            clock=daemon.clock,
            resolve=self.resolve,
            secret=OWN,
            **({"random": lambda: 0.5, "local_address": lambda ip: "10.0.0.7"} | options),
        )

    def resolve(self, host: str) -> Deferred[str]:
        self.resolved.append(host)
        return succeed("127.0.0.1") if host != "lost.example" else fail(DNSLookupError())

    # ------------------------------------------------------------ Member

    def registered(self, answer: Registered) -> None:
        self.answers.append(answer)

    def welcomed(self, welcome: Welcome, facilitator: Address) -> None:
        self.welcomes.append((welcome, facilitator))

    def told(self, message: Any) -> None:
        if getattr(message, "token", None) == "bad":
            raise ValueError("it makes no sense")
        self.messages.append(message)

    def parted(self) -> None:
        self.parted_count += 1

    # ------------------------------------------------------------ Detour

    def open(self, facilitator: Address) -> Deferred[Address]:
        assert facilitator == UDP
        if self.around is None:
            return fail(RelayFailed("there is none"))
        self.detours[0] += 1
        return succeed(self.around)

    def close(self) -> None:
        self.detours[1] += 1


class MemberCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.daemon = Daemon(self.clock)

    def node(self, **options: Any) -> Node:
        node = Node(self.daemon, **options)
        self.start(node)
        return node

    def start(self, node: Node) -> None:
        node.member.startService()
        self.addCleanup(node.member.stopService)

    def record(self, peer_id: str = ALICE) -> Any:
        return self.successResultOf(self.daemon.registry.lookup(peer_id))

    @property
    def far(self) -> FakePeer:
        """
        The daemon's end of the newest association.
        """
        return self.daemon.wire.accepted[-1]

    def lose(self, node: Node) -> None:
        """
        The association times out on our side.
        """
        assert self.far.other is not None
        self.far.other.lose(DisconnectReason.TIMEOUT)

    def pass_time(self, seconds: float) -> None:
        """
        Half a second at a time, with the daemon's pings answered.
        """
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            for far in self.daemon.wire.accepted:
                if far.state is ConnectionState.CONNECTED:
                    far.answer_ping()


class StartTests(MemberCase):
    def test_a_peer_registers_and_associates(self) -> None:
        node = self.node()
        assert node.line.requests == [
            (
                "POST",
                "/register",
                {"peer_id": ALICE, "username": "alice", "port": ALICE_AT[1]},
                OWN,
            )
        ]
        ((address, data),) = node.manager.attempts
        assert address == UDP
        reader = NetDataReader(data)
        reader.get_string()
        assert reader.get_endpoint() == ("10.0.0.7", ALICE_AT[1])
        assert node.member.online
        assert node.member.external == ALICE_AT
        assert node.member.status == f"registered with {SERVER}"
        assert self.record().observed == ALICE_AT
        assert len(node.answers) == 1
        ((welcome, facilitator),) = node.welcomes
        assert (welcome.ip, welcome.port) == ALICE_AT
        assert facilitator == UDP

    def test_it_is_not_online_before_the_daemon_has_proven_it(self) -> None:
        self.daemon.wire.answering = False
        node = self.node()
        assert not node.member.online
        assert not node.member.send(About("none"))
        assert node.member.status == f"waiting for the welcome of {SERVER}"
        self.far.answer_ping()
        assert node.member.online
        assert node.member.send(About("none"))

    def test_a_host_name_is_resolved_and_a_literal_is_not(self) -> None:
        assert self.node().resolved == []
        self.daemon = Daemon(self.clock, public_host="udp.example")
        assert self.node(peer_id=BOB, address=BOB_AT).resolved == ["udp.example"]

    def test_a_server_that_names_no_udp_host_is_its_own(self) -> None:
        daemon_answer = {
            "status": "success",
            "message": "",
            "peer_id": ALICE,
            "public_ip": "192.0.2.1",
            "lease": 60,
            "udp": {"port": 9050},
            "ticket": "t",
            "secret": "s",
        }
        node = Node(self.daemon, server="http://localhost:8000/p2p/")
        node.line.answers = [Answer(200, msgspec.json.encode(daemon_answer))]
        self.start(node)
        assert node.resolved == ["localhost"]
        assert node.line.requests[0][1] == "http://localhost:8000/p2p/register"

    def test_a_machine_without_a_route_associates_all_the_same(self) -> None:
        def no_route(ip: str) -> str:
            raise OSError("unreachable")

        node = self.node(local_address=no_route)
        reader = NetDataReader(node.manager.attempts[0][1])
        reader.get_string()
        assert reader.get_endpoint()[0] == "0.0.0.0"
        assert node.member.online

    def test_it_waits_for_its_own_port(self) -> None:
        node = Node(self.daemon)
        node.manager.local_port = 0
        self.start(node)
        assert "our own UDP port is closed" in node.member.status
        node.manager.local_port = ALICE_AT[1]
        self.clock.advance(30)
        assert node.member.online

    def test_bad_servers_are_named(self) -> None:
        for server in ("localhost:8000", "ftp://x", "http://"):
            with self.assertRaises(ValueError) as raised:
                Node(self.daemon, server=server)
            assert f"server {server!r} is not a URL" in str(raised.exception)


class StayTests(MemberCase):
    def test_it_refreshes_with_its_secret_every_third_of_a_lease(self) -> None:
        node = self.node()
        self.pass_time(3 * LEASE)
        assert node.line.count("POST", "/register") == 10
        assert [request[3] for request in node.line.requests] == [OWN] * 10
        assert len(node.manager.attempts) == 1
        assert self.record().online

    def test_a_registration_whose_answer_is_lost_is_still_its_own(self) -> None:
        node = Node(self.daemon)
        node.line.deaf = True
        self.start(node)
        assert self.record().online
        assert not node.member.online
        node.line.deaf = False
        self.clock.advance(2)
        assert node.member.online
        assert len(self.successResultOf(self.daemon.registry.listing(None))) == 1

    def test_a_lost_association_is_made_again_with_a_fresh_ticket(self) -> None:
        node = self.node()
        self.lose(node)
        assert not node.member.online
        assert node.member.external is None
        assert "association lost (timeout); trying again in 2 s" in node.member.status
        self.clock.advance(2)
        assert node.member.online
        first, second = node.manager.attempts
        assert first[1] != second[1]

    def test_it_comes_back_to_a_daemon_that_was_restarted(self) -> None:
        node = self.node()
        wire = self.daemon.wire
        node.line.cut = True
        self.lose(node)
        self.pass_time(5)
        assert "the daemon does not answer; trying again in" in node.member.status
        self.daemon = Daemon(self.clock, wire)
        node.line._http = self.daemon.http()
        node.line.cut = False
        self.pass_time(30)
        assert node.member.online
        assert self.record().observed == ALICE_AT

    def test_it_registers_anew_where_its_registration_is_unknown(self) -> None:
        node = self.node()
        self.successResultOf(self.daemon.registry.unregister(ALICE, OWN))
        node.line.answers = [Answer(404, b"{}")]
        self.clock.advance(LEASE / 3)
        assert self.record().online
        assert node.member.secret == "secret1"

    def test_it_says_so_when_somebody_else_has_its_id(self) -> None:
        self.successResultOf(
            self.daemon.http().request(
                "POST",
                f"{SERVER}/register",
                body=msgspec.json.encode({"peer_id": ALICE, "username": "m", "port": 1}),
            )
        )
        node = self.node()
        assert f"somebody else is registered as {ALICE}" in node.member.status
        assert not node.member.online
        assert node.manager.attempts == []

    def test_it_waits_longer_and_longer_for_a_daemon_that_is_away(self) -> None:
        self.daemon.wire.connecting = True
        node = Node(self.daemon)
        node.line.cut = True
        self.start(node)
        waits = []
        for _ in range(7):
            (call,) = self.clock.getDelayedCalls()
            waits.append(round(call.getTime() - self.clock.seconds(), 1))
            self.clock.advance(waits[-1])
        assert waits == [1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5]
        node.line.cut = False
        self.clock.advance(30)
        assert node.member.online
        self.lose(node)
        assert "again in 2 s" in node.member.status

    def test_waits_stay_within_1_and_30_seconds(self) -> None:
        for draw in (0.0, 0.999999):
            node = Node(self.daemon, random=lambda draw=draw: draw)
            waits = [node.member._backoff() for _ in range(2000)]
            assert min(waits) >= 1
            assert max(waits) <= 30

    def test_who_is_told_to_wait_waits_that_long_and_a_little_longer(self) -> None:
        for status in (429, 503):
            for draw, wait in ((0.0, 20.0), (0.5, 25.0), (1.0, 30.0)):
                with self.subTest(status=status, draw=draw):
                    node = Node(self.daemon, random=lambda draw=draw: draw)
                    node.line.answers = [Answer(status, b'{"detail": "busy"}', 20.0)]
                    self.start(node)
                    self.assertIn(f"busy; trying again in {wait:.0f} s", node.member.status)
                    self.clock.advance(wait - 0.1)
                    self.assertEqual(node.line.count("POST", "/register"), 1)
                    self.clock.advance(0.2)
                    self.assertEqual(node.line.count("POST", "/register"), 2)
                    self.assertTrue(node.member.online)
                    self.successResultOf(node.member.stopService())

    def test_nobody_is_sent_away_for_longer_than_5_minutes(self) -> None:
        node = Node(self.daemon)
        node.line.answers = [Answer(503, b"{}", 1e9)]
        self.start(node)
        self.clock.advance(300 * 1.5)
        assert node.member.online

    def test_a_refused_association_is_tried_again(self) -> None:
        self.daemon.wire.failures = [DisconnectReason.CONNECTION_REJECTED]
        node = self.node()
        assert "no association (connection rejected)" in node.member.status
        self.clock.advance(2)
        assert node.member.online

    def test_a_name_that_cannot_be_resolved_is_tried_again(self) -> None:
        self.daemon = Daemon(self.clock, public_host="lost.example")
        node = self.node()
        assert "trying again" in node.member.status
        assert self.flushLoggedErrors() == []
        assert self.clock.getDelayedCalls()

    def test_strange_answers_are_survived(self) -> None:
        node = Node(self.daemon)
        good = {
            "status": "success",
            "message": "",
            "peer_id": ALICE,
            "public_ip": "x",
            "lease": 60,
            "udp": {"host": "127.0.0.1", "port": 9050},
            "ticket": "t",
        }
        strange = [
            Answer(200, b"<html>"),
            Answer(200, b"[]"),
            Answer(200, msgspec.json.encode(good | {"udp": {"port": 0}})),
            Answer(200, msgspec.json.encode(good | {"lease": "long"})),
            Answer(500, b"oops"),
            Answer(503, b'{"detail": "full \\u001b"}'),
            Answer(422, b'{"detail": "bad name", "field": "username"}'),
            Answer(302, b"{}"),
        ]
        node.line.answers = list(strange)
        self.start(node)
        told = [node.member.status]
        for _ in strange[1:]:
            self.clock.advance(30)
            told.append(node.member.status)
        assert "something strange" in told[0]
        assert "full \\x1b" in told[5]
        assert "refuses us: bad name" in told[6]
        assert all(status.isprintable() for status in told)
        self.clock.advance(30)
        assert node.member.online

    def test_no_lease_makes_it_hurry_or_sleep(self) -> None:
        node = self.node()
        for lease, wait in ((-5.0, 1.0), (0.0, 1.0), (1e300, 600.0)):
            answer = self.successResultOf(
                Deferred.fromCoroutine(
                    Directory(node.line, [SERVER]).register(ALICE, "alice", 1, OWN)
                )
            )
            strange = msgspec.structs.replace(answer, lease=lease)
            node.line.answers = [Answer(200, msgspec.json.encode(strange))]
            node.member._try()
            (call,) = self.clock.getDelayedCalls()
            assert call.getTime() - self.clock.seconds() == wait


class StopTests(MemberCase):
    def test_it_says_goodbye(self) -> None:
        node = self.node()
        near = self.far.other
        assert near is not None
        self.successResultOf(node.member.stopService())
        assert node.line.requests[-1] == ("DELETE", f"/peer/{ALICE}", None, OWN)
        assert near.state is ConnectionState.DISCONNECTED
        assert not node.member.online
        assert node.member.status == "stopped"
        assert node.parted_count == 1
        assert self.successResultOf(self.daemon.registry.listing(None)) == []
        assert not self.clock.getDelayedCalls()

    def test_it_does_not_wait_for_a_daemon_that_is_away(self) -> None:
        node = self.node()
        node.line.held = True
        gone = node.member.stopService()
        self.assertNoResult(gone)
        self.clock.advance(1)
        self.successResultOf(gone)
        assert node.line.cancelled == 1

    def test_it_stops_without_fail(self) -> None:
        node = self.node()
        node.line.cut = True
        self.successResultOf(node.member.stopService())

    def test_it_stops_in_the_middle_of_registering(self) -> None:
        node = Node(self.daemon)
        node.line.held = True
        node.member.startService()
        self.successResultOf(node.member.stopService())
        assert node.line.cancelled == 1
        assert not self.clock.getDelayedCalls()

    def test_it_stops_in_the_middle_of_associating(self) -> None:
        self.daemon.wire.connecting = False
        node = Node(self.daemon)
        node.member.startService()
        self.successResultOf(node.member.stopService())
        assert node.manager.cancelled == 1
        assert not self.clock.getDelayedCalls()

    def test_a_new_name_under_way_is_given_up(self) -> None:
        """
        Else it could register us again after we have left.
        """
        node = self.node()
        node.line.held = True
        renaming = node.member.rename("al")
        gone = node.member.stopService()
        self.failureResultOf(renaming, CancelledError)
        self.clock.advance(1)
        self.successResultOf(gone)
        assert node.line.cancelled == 2
        assert node.member.username == "alice"

    def test_it_can_be_started_again(self) -> None:
        node = self.node()
        self.successResultOf(node.member.stopService())
        node.member.startService()
        assert node.member.online

    def test_a_connection_that_comes_too_late_is_closed(self) -> None:
        node = self.node()
        near = self.far.other
        assert near is not None
        self.successResultOf(node.member.stopService())
        late = FakePeer(UDP, near.listener)
        late.listener.peer_connected(late)
        assert late.state is ConnectionState.DISCONNECTED
        assert not node.member.online


class MovingTests(MemberCase):
    def test_a_changed_address_is_associated_with_at_once_and_the_old_end_is_not_told(self) -> None:
        node = self.node()
        old = self.far
        assert old.other is not None
        node.member.moved()
        assert node.member.online
        assert self.far is not old
        assert old.other.state is ConnectionState.DISCONNECTED
        # It says nothing from an address where nobody knows us.
        assert node.parted_count == 1
        assert len(node.manager.attempts) == 2

    def test_nothing_moves_while_it_is_at_it_already(self) -> None:
        node = self.node()
        node.line.held = True
        self.clock.advance(LEASE / 3)
        node.member.moved()
        assert node.member.online
        assert len(node.manager.attempts) == 1


class DetourTests(MemberCase):
    def setUp(self) -> None:
        super().setUp()
        self.detoured = FakeManager(self.daemon.wire, AROUND, self.daemon.introducer.attendance)

    def test_where_udp_leads_nowhere_it_goes_over_a_relay_with_a_fresh_ticket(self) -> None:
        self.daemon.wire.failures = [DisconnectReason.CONNECTION_FAILED]
        node = Node(self.daemon)
        node.around = AROUND
        self.start(node)
        assert node.member.online
        first, second = node.manager.attempts
        assert (first[0], second[0]) == (UDP, AROUND)
        assert first[1] != second[1]
        assert node.detours == [1, 0]
        # To us the engine is where it says it is.
        assert node.welcomes[-1][1] == UDP
        self.lose(node)
        assert node.detours == [1, 1]

    def test_without_a_relay_it_says_what_the_matter_is(self) -> None:
        self.daemon.wire.failures = [DisconnectReason.CONNECTION_FAILED]
        node = self.node()
        assert "no association (connection failed)" in node.member.status
        assert node.detours == [0, 0]

    def test_a_relay_that_leads_nowhere_either_is_given_back(self) -> None:
        self.daemon.wire.failures = [DisconnectReason.CONNECTION_FAILED] * 2
        node = Node(self.daemon)
        node.around = AROUND
        self.start(node)
        assert not node.member.online
        assert node.detours == [1, 1]
        self.clock.advance(30)
        assert node.member.online

    def test_a_refusal_is_no_reason_for_it(self) -> None:
        self.daemon.wire.failures = [DisconnectReason.CONNECTION_REJECTED]
        node = Node(self.daemon)
        node.around = AROUND
        self.start(node)
        assert node.detours == [0, 0]


class NamingTests(MemberCase):
    def test_a_peer_can_be_renamed(self) -> None:
        node = self.node()
        self.successResultOf(node.member.rename("al"))
        assert node.member.username == "al"
        assert self.record().username == "al"
        self.pass_time(LEASE)
        assert self.record().username == "al"

    def test_a_name_that_is_refused_changes_nothing(self) -> None:
        node = self.node()
        node.line.answers = [Answer(422, b'{"detail": "bad name"}')]
        self.failureResultOf(node.member.rename("al"), Refused)
        node.line.cut = True
        self.failureResultOf(node.member.rename("al"), NoAnswer)
        assert node.member.username == "alice"
        assert node.member.online


class HearingTests(MemberCase):
    def setUp(self) -> None:
        super().setUp()
        self.member_node = self.node()
        near = self.far.other
        assert near is not None
        self.near = near

    def say(self, data: bytes, peer: FakePeer | None = None) -> None:
        speaker = peer or self.near
        self.near.listener.network_receive(speaker, data, 0, DeliveryMethod.RELIABLE_ORDERED)

    def test_what_makes_no_sense_is_passed_over(self) -> None:
        for data in (
            b"",
            b"\xff",
            b"[" * 10_000,
            b"{}",
            b'{"type": "news"}',
            b'{"type": "offer"}',
            b'{"type": "candidates", "token": "t", "candidates": [{"kind": "seen"}]}',
            b'{"type": "candidates", "token": "bad", "candidates": []}',
            b'{"type": "found", "id": -1, "peer_id": "", "username": ""}',
            b'{"type": "welcome", "ip": "example.org", "port": 1}',
            b'{"type": "welcome", "ip": "192.0.2.1", "port": 0}',
        ):
            self.say(data)
        assert self.member_node.messages == []
        assert self.member_node.member.external == ALICE_AT
        good = Candidates("t", [])
        self.say(encode(good))
        assert self.member_node.messages == [good]

    def test_nobody_but_the_daemon_speaks_for_it(self) -> None:
        stranger = FakePeer(BOB_AT, self.near.listener)
        self.say(encode(Candidates("t", [])), stranger)
        assert self.member_node.messages == []
        stranger.lose(DisconnectReason.TIMEOUT)
        assert self.member_node.member.online

    def test_nothing_counts_before_the_welcome(self) -> None:
        self.daemon.wire.answering = False
        node = self.node(peer_id=BOB, address=BOB_AT)
        assert self.far.other is not None
        self.near = self.far.other
        self.say(encode(Candidates("t", [])))
        assert node.messages == []

    def test_a_second_welcome_tells_where_we_are_seen_now(self) -> None:
        self.say(encode(Welcome("192.0.2.99", 77)))
        assert self.member_node.member.external == ("192.0.2.99", 77)
        assert len(self.member_node.welcomes) == 2

    def test_what_does_not_concern_it_changes_nothing(self) -> None:
        listener = self.near.listener
        verifyObject(INetEventListener, listener)
        request = FakeRequest(BOB_AT, b"")
        listener.connection_request(request)
        assert request.rejection == b""
        listener.network_error(None, OSError())
        listener.network_latency_update(self.near, 0.1)
        listener.network_receive_unconnected(BOB_AT, b"", UnconnectedMessageType.BASIC_MESSAGE)
        assert self.member_node.member.online
