"""
Events: who listens hears what it may hear, goes on where it was, and costs little.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from p2pnet.signaling.api import make_site
from p2pnet.signaling.policy import Listing, Policy
from p2pnet.signaling.records import Record
from p2pnet.signaling.rest.hub import BEAT, PAUSE, SLICE
from p2pnet.signaling.rest.listening import MAX_BEHIND
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.sampling import INTERVAL, KEPT
from tests.signaling.asking import V1Case, owner
from tests.signaling.daemon import ALICE, BOB, LEASE, Daemon
from tests.signaling.rest.test_rooms import RoomCase


class Wire(StringTransport):
    """
    Remembers whether it was cut.
    """

    aborting = False

    def abortConnection(self) -> None:
        self.aborting = True


class Listener:
    """
    A client of the event stream.
    """

    def __init__(
        self,
        daemon: Daemon,
        path: str = "/events",
        *,
        by: tuple[str, str] | None = None,
        last: str | None = None,
        host: str = "192.0.2.1",
    ) -> None:
        self.site = make_site(daemon.api, daemon.clock)
        address = IPv4Address("TCP", host, 1)
        self.wire = Wire(peerAddress=address)
        protocol = self.site.buildProtocol(address)
        assert protocol is not None
        self.protocol: Any = protocol
        self.protocol.makeConnection(self.wire)
        head = [f"GET {path} HTTP/1.1", "Host: x"]
        if by is not None:
            head.append(f"Authorization: Basic {b64encode(':'.join(by).encode()).decode()}")
        if last is not None:
            head.append(f"Last-Event-ID: {last}")
        self.protocol.dataReceived("\r\n".join((*head, "", "")).encode())
        self._clock = daemon.clock

    @property
    def text(self) -> str:
        """
        What has come by now, without head and chunks.
        """
        self._clock.advance(PAUSE)
        head, _, body = self.wire.value().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"text/event-stream" in head
        text = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            text, body = text + body[: int(size, 16)], body[int(size, 16) + 2 :]
        return text.decode()

    @property
    def events(self) -> list[tuple[str, Any]]:
        """
        Their kinds and data, as a browser would find them.
        """
        found = []
        self.last = ""
        for block in self.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            self.last = fields.get("id", self.last)
            if "data" in fields:
                found.append((fields["event"], msgspec.json.decode(fields["data"])))
        return found

    def hang_up(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


def record(username: str) -> Record:
    return Record(ALICE, username, "192.0.2.1", 1, online=True)


class StreamTests(V1Case):
    def test_what_changes_is_told_as_it_happens(self) -> None:
        listener = Listener(self.daemon)
        answer = self.put()
        self.associate(answer["ticket"])
        self.put(status=200, username="al")
        self.done(204, "DELETE", f"/v1/peers/{ALICE}", by=owner(ALICE))
        (start, *told) = listener.events
        assert start == ("start", {})
        assert "retry: 2000\n" in listener.text
        peers = [data["peer"] for kind, data in told if kind == "peer"]
        assert [(peer["username"], peer["status"]) for peer in peers] == [
            ("alice", "away"),
            ("alice", "online"),
            ("al", "online"),
        ]
        assert told[-1] == ("gone", {"event": "gone", "id": listener.last, "peer_id": ALICE})

    def test_a_lease_that_ends_is_told_and_one_that_is_renewed_is_not(self) -> None:
        self.daemon.registry.startService()
        self.addCleanup(self.daemon.registry.stopService)
        listener = Listener(self.daemon)
        self.put()
        for _ in range(3):
            self.daemon.clock.advance(LEASE / 2)
            self.put(status=200)
        self.daemon.clock.advance(LEASE + 1)
        statuses = [data["peer"]["status"] for kind, data in listener.events if kind == "peer"]
        assert statuses == ["away", "offline"]

    def test_who_comes_back_hears_what_it_has_missed(self) -> None:
        listener = Listener(self.daemon)
        self.put()
        listener.events.clear()
        listener.hang_up()
        self.put(BOB, "bob")
        again = Listener(self.daemon, last=listener.last)
        self.put(BOB, "rob", 200)
        assert [data["peer"]["username"] for _, data in again.events] == ["bob", "rob"]
        up_to_date = Listener(self.daemon, last=again.last)
        assert up_to_date.events == []

    def test_who_has_missed_too_much_is_told_to_list_anew(self) -> None:
        self.put()
        for last in ("1", "99999999999999999", "x", "-1", "9" * 30):
            listener = Listener(self.daemon, last=last)
            assert listener.events == [("reset", {})]
            assert listener.last == str(self.daemon.registry.feed.sequence)

    def test_a_gap_in_the_feed_is_told(self) -> None:
        listener = Listener(self.daemon)
        sequence = self.daemon.registry.feed.sequence + 10
        self.daemon.registry.feed.break_off(sequence)
        assert listener.events == [("start", {}), ("reset", {})]
        assert listener.last == str(sequence)
        assert Listener(self.daemon, last=str(sequence - 5)).events == [("reset", {})]

    def test_a_silent_stream_beats(self) -> None:
        listener = Listener(self.daemon)
        length = len(listener.text)
        self.daemon.clock.advance(BEAT)
        assert listener.text[length:] == ":\n\n"
        assert not listener.wire.disconnecting

    def test_nothing_is_left_of_who_has_gone(self) -> None:
        before = len(self.daemon.clock.getDelayedCalls())
        listener = Listener(self.daemon, "/events?figures=true")
        assert self.daemon.api.hub.listeners == 1
        listener.hang_up()
        self.daemon.clock.advance(0)
        assert self.daemon.api.hub.listeners == 0
        assert len(self.daemon.clock.getDelayedCalls()) == before
        assert not self.daemon.api.hub._by_room
        assert not self.daemon.api.hub._of_network
        assert not self.daemon.api.sampler._streams

    def test_who_is_too_slow_is_cut_off_and_nobody_else(self) -> None:
        slow, quick = Listener(self.daemon), Listener(self.daemon)
        producer = slow.wire.producer
        assert producer is not None
        producer.pauseProducing()
        self.daemon.limits.changes.burst = 10_000
        self.daemon.limits.requests.burst = 10_000
        for number in range(MAX_BEHIND // 150):
            self.put(username=f"name{number}", status=200 if number else 201)
            if number % 10 == 0:
                self.daemon.clock.advance(PAUSE)
            if slow.wire.aborting:
                break
        assert slow.wire.aborting
        assert self.daemon.api.hub.dropped == 1
        assert not quick.wire.aborting
        size = len(slow.wire.value())
        self.put(username="after", status=200)
        self.daemon.clock.advance(PAUSE)
        assert len(slow.wire.value()) == size
        slow.hang_up()
        assert self.daemon.api.hub.listeners == 1

    def test_who_catches_up_is_not_cut_off(self) -> None:
        listener = Listener(self.daemon)
        producer = listener.wire.producer
        assert producer is not None
        for round in range(10):
            producer.pauseProducing()
            for number in range(100):
                self.daemon.registry.feed.publish(record(f"{round} {number}"))
                self.daemon.clock.advance(PAUSE)
            producer.resumeProducing()
        assert not listener.wire.aborting
        assert len(listener.events) == 1001

    def test_very_much_at_once_is_told_as_a_reset(self) -> None:
        listener = Listener(self.daemon)
        sequence = self.daemon.registry.feed.sequence
        for number in range(1000):
            self.daemon.registry.feed.publish(record(str(number)))
        assert listener.events == [("start", {}), ("reset", {})]
        assert listener.last == str(sequence + 1000)
        assert Listener(self.daemon, last=str(sequence)).events == [("reset", {})]

    def test_many_listeners_are_told_a_few_at_a_time(self) -> None:
        self.daemon.limits.listeners = self.daemon.limits.requests.burst = 10_000
        listeners = [Listener(self.daemon) for _ in range(SLICE + 1)]
        sizes = [len(each.wire.value()) for each in listeners]
        call_later = self.daemon.clock.callLater

        def next_turn(delay: float, *call: Any) -> Any:
            return call_later(max(delay, 0.001), *call)

        self.patch(self.daemon.clock, "callLater", next_turn)
        self.put()
        told = []
        for _ in range(3):
            self.daemon.clock.advance(0.001)
            told.append(
                sum(
                    len(each.wire.value()) > size
                    for each, size in zip(listeners, sizes, strict=True)
                )
            )
        assert told == [SLICE, SLICE + 1, SLICE + 1]

    def test_who_has_many_to_tell_rests_twice_as_long_as_it_took(self) -> None:
        """
        Thousands of listeners must keep nobody else waiting.
        """
        clock = self.daemon.clock

        listener = Listener(self.daemon)
        self.put()
        tell = self.daemon.api.hub._tell_one

        def slowly(*args: Any) -> None:
            clock.rightNow += 0.1
            tell(*args)

        self.patch(self.daemon.api.hub, "_tell_one", slowly)
        clock.advance(PAUSE)
        self.put(status=200, username="al")
        size = len(listener.wire.value())
        clock.advance(0.19)
        assert len(listener.wire.value()) == size
        clock.advance(0.02)
        assert len(listener.wire.value()) > size

    def test_what_happens_at_once_is_told_together_and_once(self) -> None:
        listener = Listener(self.daemon)
        self.put()
        late = Listener(self.daemon)
        self.put(status=200, username="al")
        self.put(status=200, username="alice")
        heard = [[data["peer"]["username"] for _, data in listener.events[1:]]]
        heard.append([data["peer"]["username"] for _, data in late.events[1:]])
        assert heard == [["alice", "al", "alice"], ["al", "alice"]]

    def test_listeners_are_bounded(self) -> None:
        self.daemon.limits.listeners = 2
        self.daemon.limits.listeners_in_all = 3
        hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "203.0.113.1"]
        listeners = [Listener(self.daemon, host=host) for host in hosts]
        codes = [int(each.wire.value().split()[1]) for each in listeners]
        assert codes == [200, 200, 429, 200, 429]
        listeners[0].hang_up()
        assert Listener(self.daemon, host="192.0.2.9").events == [("start", {})]

    def test_a_server_that_ends_sends_them_away(self) -> None:
        listener = Listener(self.daemon)
        waiting = self.begin("GET", "/v1/events?wait=60")
        assert self.daemon.api.runner.under_way == 2
        self.daemon.health.draining = True
        self.daemon.api.drain()
        self.daemon.treq.flush()
        assert self.daemon.api.runner.under_way == 0
        assert listener.wire.value().endswith(b"0\r\n\r\n")
        assert self.successResultOf(waiting).json["events"] == []
        assert self.daemon.api.hub.listeners == 0
        assert b" 503 " in Listener(self.daemon).wire.value()

    def test_a_head_is_an_answer_without_a_stream(self) -> None:
        reply = self.ask("HEAD", "/events")
        assert (reply.code, reply.body) == (200, b"")
        assert reply.header("Content-Type") == "text/event-stream"
        assert self.daemon.api.hub.listeners == 0


class PollTests(V1Case):
    def test_events_are_there_to_be_asked_for(self) -> None:
        first = self.done(200, "GET", "/v1/events")
        assert first == {"events": [], "next": first["next"], "reset": False}
        self.put()
        self.put(BOB, "bob")
        found = self.done(200, "GET", f"/v1/events?after={first['next']}")
        assert [event["peer"]["username"] for event in found["events"]] == ["alice", "bob"]
        assert [event["event"] for event in found["events"]] == ["peer", "peer"]
        assert found["next"] == found["events"][-1]["id"]
        assert self.done(200, "GET", f"/v1/events?after={found['next']}")["events"] == []

    def test_one_may_wait_for_them(self) -> None:
        waiting = self.begin("GET", "/v1/events?wait=30")
        self.daemon.clock.advance(29)
        self.assertNoResult(waiting)
        self.put()
        self.daemon.clock.advance(0)
        self.daemon.treq.flush()
        (event,) = self.successResultOf(waiting).json["events"]
        assert event["peer"]["username"] == "alice"
        assert self.daemon.api.hub.listeners == 0

    def test_one_does_not_wait_for_ever(self) -> None:
        waiting = self.begin("GET", "/v1/events?wait=30")
        self.daemon.clock.advance(30)
        self.daemon.treq.flush()
        assert self.successResultOf(waiting).json["events"] == []
        assert self.daemon.api.hub.listeners == 0
        for bad in ("61", "-1", "nan", "x"):
            path = f"/v1/events?wait={bad}"
            self.refused(Kind.INVALID, "GET", path, field="wait")

    def test_who_has_missed_too_much_is_told(self) -> None:
        self.put()
        found = self.done(200, "GET", "/v1/events?after=1&wait=10")
        assert found["reset"] is True
        assert found["next"] == str(self.daemon.registry.feed.sequence)

    def test_many_events_are_remembered_but_not_all(self) -> None:
        feed = self.daemon.registry.feed
        start = feed.sequence
        for _ in range(5000):
            feed.publish(record("x"))
        assert len(self.daemon.api.hub._frames) == 4096
        path = "/v1/events?after="
        assert len(self.done(200, "GET", f"{path}{feed.sequence - 4096}")["events"]) == 4096
        assert self.done(200, "GET", f"{path}{feed.sequence - 4097}")["reset"]
        assert self.done(200, "GET", f"{path}{start}")["reset"]


class WhoHearsTests(RoomCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_members_hear_of_members_and_others_of_others(self) -> None:
        self.enter(ALICE)
        inside = Listener(self.daemon, by=owner(ALICE))
        outside = Listener(self.daemon)
        self.enter(BOB)
        self.put(username="somebody", port=1, status=200)
        assert [data["peer"]["peer_id"] for _, data in inside.events[1:]] == [BOB]
        # Alice has left: what happens in there is hers no more.
        assert inside.wire.value().endswith(b"0\r\n\r\n")
        assert [data["peer"]["peer_id"] for _, data in outside.events[1:]] == [ALICE]
        self.put(BOB, status=200)
        assert len(inside.events) == 2

    def test_where_nobody_is_listed_there_is_nothing_to_hear(self) -> None:
        for listing in (Listing.ROOMS, Listing.OFF):
            self.daemon = Daemon(policy=Policy(listing))
            self.refused(Kind.NOT_LISTED, "GET", "/events")
            self.refused(Kind.NOT_LISTED, "GET", "/v1/events")
            listener = Listener(self.daemon, "/events?figures=true")
            self.put()
            assert listener.events == [("start", {})]
            again = Listener(self.daemon, "/events?figures=true", last=listener.last)
            assert again.events == []


class FiguresTests(V1Case):
    def test_figures_are_taken_and_told(self) -> None:
        self.daemon.api.sampler.startService()
        self.addCleanup(self.daemon.api.sampler.stopService)
        self.put()
        listener = Listener(self.daemon, "/events?figures=true")
        plain = Listener(self.daemon)
        self.daemon.clock.advance(INTERVAL)
        figures = [data for kind, data in listener.events if kind == "figures"]
        assert [each["online"] for each in figures] == [0, 1]
        assert figures[-1]["listeners"] == 2
        assert "figures" not in plain.text
        history = self.done(200, "GET", "/v1/figures")
        assert history == {"interval": INTERVAL, "samples": figures}

    def test_figures_say_how_introductions_end(self) -> None:
        self.daemon.introducer.broker.introductions = 5
        self.daemon.introducer.broker.outcomes["direct", "none", "unknown"] = 2
        self.daemon.introducer.broker.outcomes["relayed", "none", "none"] = 1
        self.daemon.api.sampler.startService()
        self.addCleanup(self.daemon.api.sampler.stopService)
        (sample,) = self.done(200, "GET", "/v1/figures")["samples"]
        assert [sample[name] for name in ("introductions", "direct", "relayed", "failed")] == [
            5,
            2,
            1,
            0,
        ]

    def test_the_last_ten_minutes_are_kept(self) -> None:
        self.daemon.api.sampler.startService()
        self.daemon.clock.pump([INTERVAL] * (KEPT + 5))
        assert len(self.done(200, "GET", "/v1/figures")["samples"]) == KEPT
        self.daemon.api.sampler.stopService()
        self.daemon.clock.advance(INTERVAL)
        assert len(self.done(200, "GET", "/v1/figures")["samples"]) == KEPT
