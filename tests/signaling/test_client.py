"""
Peers and a daemon, each the real one, with an engine of plain objects between them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    DisconnectReason,
    INatPunchListener,
    INetEventListener,
    INetPeer,
    IRendezvous,
    NatAddressType,
    UnconnectedMessageType,
)
from p2pnet.serialization import NetDataReader
from p2pnet.signaling.client import RendezvousClient
from p2pnet.signaling.directory import Answer, NoAnswer
from p2pnet.signaling.offers import LIMIT, proof
from p2pnet.signaling.records import InvalidField
from tests.signaling.daemon import ALICE, BOB, CAROL, LEASE, SERVER, UDP, Daemon
from tests.signaling.doubles import (
    FakeManager,
    FakePeer,
    FakeRequest,
    RecordingListener,
    Wire,
)

ALICE_AT: Address = ("192.0.2.1", 4001)
BOB_AT: Address = ("198.51.100.2", 4002)


class Line:
    """
    HTTP that can be cut, delayed or answered by the test.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._http = daemon.http()
        self.cut = False
        self.held = False
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, Any, str | None]] = []
        self.cancelled = 0

    def request(
        self, method: str, url: str, *, body: bytes | None = None, secret: str | None = None
    ) -> Deferred[Answer]:
        fields = None if body is None else msgspec.json.decode(body)
        self.requests.append((method, url.removeprefix(SERVER), fields, secret))
        if self.cut:
            return fail(NoAnswer("the daemon does not answer"))
        if self.held:
            return Deferred(self._cancel)
        if self.answers:
            return succeed(self.answers.pop(0))
        return self._http.request(method, url, body=body, secret=secret)

    def _cancel(self, _: Deferred[Answer]) -> None:
        self.cancelled += 1

    def count(self, method: str, path: str) -> int:
        return sum(request[:2] == (method, path) for request in self.requests)


class Node:
    """
    One peer: a client, its engine and what its chat hears.
    """

    def __init__(
        self, daemon: Daemon, peer_id: str, username: str, address: Address, **options: Any
    ) -> None:
        self.chat = RecordingListener()
        self.manager = FakeManager(daemon.wire, address, self.chat)
        self.line = Line(daemon)
        self.resolved: list[str] = []
        options = dict[str, Any](server=SERVER, local_address=lambda ip: "10.0.0.7") | options
        self.client = RendezvousClient(
            self.manager,
            self.line,
            peer_id=peer_id,
            username=username,
            clock=daemon.clock,
            resolve=self.resolve,
            random=lambda: 0.5,
            **options,
        )

    def resolve(self, host: str) -> Deferred[str]:
        self.resolved.append(host)
        return succeed("127.0.0.1") if host != "lost.example" else fail(DNSLookupError())

    @property
    def association(self) -> FakePeer:
        association = self.client._association
        assert isinstance(association, FakePeer)
        return association


class ClientCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.daemon = self.make_daemon()

    def make_daemon(self, wire: Wire | None = None) -> Daemon:
        return Daemon(self.clock, wire)

    def node(
        self,
        peer_id: str = ALICE,
        username: str = "alice",
        address: Address = ALICE_AT,
        **options: Any,
    ) -> Node:
        node = Node(self.daemon, peer_id, username, address, **options)
        node.client.startService()
        self.addCleanup(node.client.stopService)
        return node

    def record(self, peer_id: str = ALICE) -> Any:
        return self.successResultOf(self.daemon.registry.lookup(peer_id))

    def pass_time(self, seconds: float) -> None:
        """
        Half a second at a time, with the daemon's pings answered.
        """
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            for association in list(self.daemon.introducer._standing.values()):
                assert isinstance(association.peer, FakePeer)
                association.peer.answer_ping()

    def failed(self, result: Deferred[Any], reason: str) -> str:
        error = self.failureResultOf(result, DialFailed).value
        assert error.reason == reason
        return str(error)


class StartTests(ClientCase):
    def test_it_keeps_to_the_interfaces(self) -> None:
        client = self.node().client
        verifyObject(IRendezvous, client)
        verifyObject(INatPunchListener, client)
        verifyObject(INetEventListener, client)

    def test_a_peer_registers_and_associates(self) -> None:
        node = self.node()
        assert node.line.requests == [
            (
                "POST",
                "/register",
                {"peer_id": ALICE, "username": "alice", "port": ALICE_AT[1]},
                None,
            )
        ]
        ((address, data),) = node.manager.attempts
        assert address == UDP
        reader = NetDataReader(data)
        reader.get_string()
        assert reader.get_endpoint() == ("10.0.0.7", ALICE_AT[1])
        assert node.client.online
        assert node.client.external == ALICE_AT
        assert node.client.status == f"registered with {SERVER}"
        assert node.manager.nat.trusted == [UDP]
        assert node.manager.nat.listener is node.client
        assert self.record().observed == ALICE_AT

    def test_it_is_not_online_before_the_daemon_has_proven_it(self) -> None:
        self.daemon.wire.answering = False
        node = self.node()
        assert not node.client.online
        assert node.client.status == f"waiting for the welcome of {SERVER}"
        self.daemon.introducer._arriving[ALICE].peer.answer_ping()  # type: ignore[attr-defined]
        assert node.client.online

    def test_a_host_name_is_resolved_and_a_literal_is_not(self) -> None:
        assert self.node().resolved == []
        self.daemon = Daemon(self.clock, public_host="udp.example")
        assert self.node(BOB, "bob", BOB_AT).resolved == ["udp.example"]

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
        node = Node(self.daemon, ALICE, "alice", ALICE_AT, server="http://localhost:8000/p2p/")
        node.line.answers = [Answer(200, msgspec.json.encode(daemon_answer))]
        node.client.startService()
        self.addCleanup(node.client.stopService)
        assert node.resolved == ["localhost"]
        assert node.line.requests[0][1] == "http://localhost:8000/p2p/register"

    def test_a_machine_without_a_route_associates_all_the_same(self) -> None:
        def no_route(ip: str) -> str:
            raise OSError("unreachable")

        node = self.node(local_address=no_route)
        reader = NetDataReader(node.manager.attempts[0][1])
        reader.get_string()
        assert reader.get_endpoint()[0] == "0.0.0.0"
        assert node.client.online

    def test_it_waits_for_its_own_port(self) -> None:
        node = Node(self.daemon, ALICE, "alice", ALICE_AT)
        node.manager.local_port = 0
        node.client.startService()
        self.addCleanup(node.client.stopService)
        assert "our own UDP port is closed" in node.client.status
        node.manager.local_port = ALICE_AT[1]
        self.clock.advance(30)
        assert node.client.online

    def test_bad_parameters_are_named(self) -> None:
        for options, words in (
            ({"peer_id": "alice"}, "peer_id must be a UUID"),
            ({"username": "\n"}, "username must have printable"),
            ({"server": "localhost:8000"}, "server 'localhost:8000' is not a URL"),
            ({"server": "ftp://x"}, "server 'ftp://x' is not a URL"),
            ({"server": "http://"}, "server 'http://' is not a URL"),
        ):
            arguments: dict[str, Any] = {"peer_id": ALICE, "username": "alice"} | options
            with self.assertRaises(ValueError) as raised:
                Node(self.daemon, address=ALICE_AT, **arguments)
            assert words in str(raised.exception)


class StayTests(ClientCase):
    def test_it_refreshes_with_its_secret_every_third_of_a_lease(self) -> None:
        node = self.node()
        self.pass_time(3 * LEASE)
        assert node.line.count("POST", "/register") == 10
        assert [request[3] for request in node.line.requests] == [None] + ["secret1"] * 9
        assert len(node.manager.attempts) == 1
        assert self.record().online

    def test_a_lost_association_is_made_again_with_a_fresh_ticket(self) -> None:
        node = self.node()
        node.association.lose(DisconnectReason.TIMEOUT)
        assert not node.client.online
        assert node.client.external is None
        assert "association lost (timeout); trying again in 2 s" in node.client.status
        self.clock.advance(2)
        assert node.client.online
        first, second = node.manager.attempts
        assert first[1] != second[1]

    def test_it_comes_back_to_a_daemon_that_was_restarted(self) -> None:
        node = self.node()
        wire = self.daemon.wire
        node.line.cut = True
        node.association.lose(DisconnectReason.TIMEOUT)
        self.pass_time(5)
        assert "the daemon does not answer; trying again in" in node.client.status
        self.daemon = self.make_daemon(wire)
        node.line._http = self.daemon.http()
        node.line.cut = False
        self.pass_time(30)
        assert node.client.online
        assert self.record().observed == ALICE_AT

    def test_it_registers_anew_where_its_registration_is_unknown(self) -> None:
        node = self.node()
        self.successResultOf(self.daemon.registry.unregister(ALICE, "secret1"))
        node.line.answers = [Answer(404, b"{}")]
        self.clock.advance(LEASE / 3)
        assert self.record().online
        assert node.client._secret == "secret2"

    def test_it_says_so_when_somebody_else_has_its_id(self) -> None:
        self.successResultOf(
            self.daemon.http().request(
                "POST",
                f"{SERVER}/register",
                body=msgspec.json.encode({"peer_id": ALICE, "username": "m", "port": 1}),
            )
        )
        node = self.node()
        assert f"somebody else is registered as {ALICE}" in node.client.status
        assert not node.client.online
        assert node.manager.attempts == []
        self.failed(node.client.rename("x"), "unavailable")

    def test_it_waits_longer_and_longer_for_a_daemon_that_is_away(self) -> None:
        self.daemon.wire.connecting = True
        node = Node(self.daemon, ALICE, "alice", ALICE_AT)
        node.line.cut = True
        node.client.startService()
        self.addCleanup(node.client.stopService)
        waits = []
        for _ in range(7):
            (call,) = self.clock.getDelayedCalls()
            waits.append(round(call.getTime() - self.clock.seconds(), 1))
            self.clock.advance(waits[-1])
        assert waits == [1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5]
        node.line.cut = False
        self.clock.advance(30)
        assert node.client.online
        node.association.lose(DisconnectReason.TIMEOUT)
        assert "again in 2 s" in node.client.status

    def test_waits_stay_within_1_and_30_seconds(self) -> None:
        for draw in (0.0, 0.999999):
            node = Node(self.daemon, ALICE, "alice", ALICE_AT)
            node.client._random = lambda draw=draw: draw  # type: ignore[misc]
            waits = [node.client._backoff() for _ in range(2000)]
            assert min(waits) >= 1
            assert max(waits) <= 30

    def test_a_refused_association_is_tried_again(self) -> None:
        self.daemon.wire.failures = [DisconnectReason.CONNECTION_REJECTED]
        node = self.node()
        assert "no association (connection rejected)" in node.client.status
        self.clock.advance(2)
        assert node.client.online

    def test_a_name_that_cannot_be_resolved_is_tried_again(self) -> None:
        self.daemon = Daemon(self.clock, public_host="lost.example")
        node = self.node()
        assert "trying again" in node.client.status
        assert self.flushLoggedErrors() == []
        assert self.clock.getDelayedCalls()

    def test_strange_answers_are_survived(self) -> None:
        node = Node(self.daemon, ALICE, "alice", ALICE_AT)
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
        node.client.startService()
        self.addCleanup(node.client.stopService)
        told = [node.client.status]
        for _ in strange[1:]:
            self.clock.advance(30)
            told.append(node.client.status)
        assert "something strange" in told[0]
        assert "full \\x1b" in told[5]
        assert "refuses us: bad name" in told[6]
        assert all(status.isprintable() for status in told)
        self.clock.advance(30)
        assert node.client.online

    def test_no_lease_makes_it_hurry_or_sleep(self) -> None:
        node = self.node()
        for lease, wait in ((-5.0, 1.0), (0.0, 1.0), (1e300, 600.0)):
            answer = self.successResultOf(
                Deferred.fromCoroutine(
                    node.client._directory.register(ALICE, "alice", 1, "secret1")
                )
            )
            strange = msgspec.structs.replace(answer, lease=lease)
            node.line.answers = [Answer(200, msgspec.json.encode(strange))]
            node.client._try()
            (call,) = self.clock.getDelayedCalls()
            assert call.getTime() - self.clock.seconds() == wait


class StopTests(ClientCase):
    def test_it_says_goodbye(self) -> None:
        node = self.node()
        association = node.association
        self.successResultOf(node.client.stopService())
        assert node.line.requests[-1] == ("DELETE", f"/peer/{ALICE}", None, "secret1")
        assert association.state.name == "DISCONNECTED"
        assert not node.client.online
        assert node.client.status == "stopped"
        assert node.manager.nat.trusted == []
        assert self.successResultOf(self.daemon.registry.listing()) == []
        assert not self.clock.getDelayedCalls()

    def test_it_does_not_wait_for_a_daemon_that_is_away(self) -> None:
        node = self.node()
        node.line.held = True
        gone = node.client.stopService()
        self.assertNoResult(gone)
        self.clock.advance(1)
        self.successResultOf(gone)
        assert node.line.cancelled == 1

    def test_it_stops_without_fail(self) -> None:
        node = self.node()
        node.line.cut = True
        self.successResultOf(node.client.stopService())

    def test_it_stops_in_the_middle_of_registering(self) -> None:
        node = Node(self.daemon, ALICE, "alice", ALICE_AT)
        node.line.held = True
        node.client.startService()
        self.successResultOf(node.client.stopService())
        assert node.line.cancelled == 1
        assert not self.clock.getDelayedCalls()

    def test_it_stops_in_the_middle_of_associating(self) -> None:
        self.daemon.wire.connecting = False
        node = Node(self.daemon, ALICE, "alice", ALICE_AT)
        node.client.startService()
        self.successResultOf(node.client.stopService())
        assert node.manager.cancelled == 1
        assert not self.clock.getDelayedCalls()

    def test_it_can_be_started_again(self) -> None:
        node = self.node()
        self.successResultOf(node.client.stopService())
        node.client.startService()
        assert node.client.online

    def test_a_connection_that_comes_too_late_is_closed(self) -> None:
        node = self.node()
        self.successResultOf(node.client.stopService())
        late = FakePeer(UDP, node.client)
        node.client.peer_connected(late)
        assert late.state.name == "DISCONNECTED"
        assert not node.client.online


class MeetingTests(ClientCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.node()
        self.bob = self.node(BOB, "bob", BOB_AT)

    def dial(self, who: str = "bob") -> Deferred[INetPeer]:
        return self.alice.client.dial(who, self.alice.chat)

    def test_two_peers_meet(self) -> None:
        peer = self.successResultOf(self.dial())
        assert peer.address == BOB_AT
        (data,) = self.bob.chat.requests
        assert self.bob.client.introduced(data) == ALICE
        peer.send(b"hello")
        assert self.bob.chat.received == [b"hello"]
        assert self.alice.chat.connected == [peer]

    def test_they_meet_by_id_and_in_both_directions(self) -> None:
        self.successResultOf(self.dial(BOB))
        self.successResultOf(self.bob.client.dial("alice", self.bob.chat))
        assert len(self.daemon.manager.nat.introductions) == 2

    def test_a_stranger_is_not_introduced(self) -> None:
        self.successResultOf(self.dial())
        (data,) = self.bob.chat.requests
        token = NetDataReader(data).get_string()
        assert self.bob.client.introduced(proof(token, CAROL)) is None
        assert self.bob.client.introduced(proof("guess", ALICE)) is None
        self.clock.advance(30)
        assert self.bob.client.introduced(data) is None

    def test_a_refusal_is_told_safely(self) -> None:
        self.bob.chat.accept = False
        assert self.failed(self.dial(), "rejected") == "bob refused: not today\\x1b[2J"

    def test_without_a_path_it_fails_in_time(self) -> None:
        self.daemon.wire.punching = False
        result = self.dial()
        self.pass_time(29.5)
        self.assertNoResult(result)
        self.pass_time(0.5)
        assert self.failed(result, "no-path") == "no path to bob within 30 s"

    def test_unknown_offline_and_oneself(self) -> None:
        assert self.failed(self.dial("eve"), "unknown") == 'nobody is called "eve"'
        assert self.failed(self.dial(CAROL), "unknown") == f"there is no peer {CAROL}"
        assert self.failed(self.dial("alice"), "self") == "that is you"
        self.bob.association.lose(DisconnectReason.TIMEOUT)
        bob = self.daemon.introducer._standing[BOB].peer
        assert isinstance(bob, FakePeer)
        bob.lose(DisconnectReason.TIMEOUT)
        assert self.failed(self.dial(), "offline") == "bob is offline"

    def test_who_left_is_unknown(self) -> None:
        self.successResultOf(self.bob.client.stopService())
        assert self.failed(self.dial(), "unknown") == 'nobody is called "bob"'

    def test_who_is_not_online_dials_nobody(self) -> None:
        self.alice.association.lose(DisconnectReason.TIMEOUT)
        assert "association lost" in self.failed(self.dial(), "unavailable")

    def test_a_daemon_that_forgot_us_is_reminded(self) -> None:
        self.successResultOf(self.daemon.registry.unregister(ALICE, "secret1"))
        assert "not registered" in self.failed(self.dial(), "unavailable")
        self.successResultOf(self.dial())

    def test_everybody_is_listed(self) -> None:
        listed = self.successResultOf(self.alice.client.peers())
        assert [(each.peer_id, each.username, each.ip, each.port) for each in listed] == [
            (ALICE, "alice", *ALICE_AT),
            (BOB, "bob", *BOB_AT),
        ]

    def test_listings_no_honest_daemon_makes_are_left_out(self) -> None:
        def entry(peer_id: str, username: str) -> dict[str, Any]:
            return {
                "peer_id": peer_id,
                "username": username,
                "ip": "192.0.2.1",
                "port": 1,
                "online": True,
                "last_seen": 0,
            }

        peers = [entry(BOB, "bob"), entry("x", "bob"), entry(CAROL, "\x1b[2J")]
        body = msgspec.json.encode({"peers": peers, "count": 3})
        self.alice.line.answers = [Answer(200, body)]
        (listed,) = self.successResultOf(self.alice.client.peers())
        assert listed.username == "bob"

    def test_without_a_daemon_there_is_no_list(self) -> None:
        self.alice.line.cut = True
        assert "does not answer" in self.failed(self.alice.client.peers(), "unavailable")
        assert "does not answer" in self.failed(self.dial(), "unavailable")

    def test_a_peer_can_be_renamed(self) -> None:
        self.successResultOf(self.alice.client.rename("al"))
        assert self.alice.client.username == "al"
        assert self.record().username == "al"
        self.pass_time(LEASE)
        assert self.record().username == "al"

    def test_a_name_that_is_none_changes_nothing(self) -> None:
        self.failureResultOf(self.alice.client.rename("a\nb"), InvalidField)
        self.alice.line.cut = True
        self.failed(self.alice.client.rename("al"), "unavailable")
        assert self.alice.client.username == "alice"

    def test_a_daemon_gone_mad_is_survived(self) -> None:
        association = self.alice.association
        offers = self.alice.client._offers
        for data in (
            b"",
            b"\xff",
            b"[" * 10_000,
            b"{}",
            b'{"type": "news"}',
            b'{"type": "offer"}',
            b'{"type": "offer", "token": "", "peer_id": "x", "username": "y"}',
            b'{"type": "offer", "token": "t", "peer_id": "x", "username": "y"}',
            b'{"type": "offer", "token": "t", "peer_id": "%b", "username": ""}' % ALICE.encode(),
            b'{"type": "welcome", "ip": "example.org", "port": 1}',
            b'{"type": "welcome", "ip": "192.0.2.1", "port": 0}',
        ):
            self.alice.client.network_receive(association, data, 0, DeliveryMethod.RELIABLE_ORDERED)
        assert not offers._expected
        assert self.alice.client.external == ALICE_AT
        for number in range(2 * LIMIT):
            offer = {"type": "offer", "token": str(number), "peer_id": BOB, "username": "b"}
            self.alice.client.network_receive(
                association, msgspec.json.encode(offer), 0, DeliveryMethod.RELIABLE_ORDERED
            )
        assert len(offers._expected) == LIMIT

    def test_nobody_but_the_daemon_speaks_for_it(self) -> None:
        stranger = FakePeer(BOB_AT, self.alice.client)
        offer = b'{"type": "offer", "token": "t", "peer_id": "%b", "username": ""}' % BOB.encode()
        self.alice.client.network_receive(stranger, offer, 0, DeliveryMethod.RELIABLE_ORDERED)
        assert "t" not in self.alice.manager.nat.expected
        gone = DisconnectInfo(DisconnectReason.TIMEOUT)
        self.alice.client.peer_disconnected(stranger, gone)
        assert self.alice.client.online

    def test_what_does_not_concern_it_changes_nothing(self) -> None:
        client = self.alice.client
        request = FakeRequest(BOB_AT, b"")
        client.connection_request(request)
        assert request.rejection == b""
        client.network_error(None, OSError())
        client.network_latency_update(self.alice.association, 0.1)
        client.network_receive_unconnected(BOB_AT, b"", UnconnectedMessageType.BASIC_MESSAGE)
        client.nat_introduction_request(BOB_AT, BOB_AT, "t")
        client.nat_introduction_success(BOB_AT, NatAddressType.INTERNAL, "t")
        assert client.online
