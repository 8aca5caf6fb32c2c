"""
People talk: chats over paired connections, seen from their consoles.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.chat.circle import MAX_LINKS_EACH
from p2pnet.chat.dialing import MAX_DIALS
from p2pnet.chat.ledger import MAX_KEPT
from p2pnet.chat.listening import Introduced
from p2pnet.chat.messages import Hello, Text, encode
from p2pnet.chat.service import STOP_GRACE
from p2pnet.interfaces import (
    ConnectionState,
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    DisconnectReason,
    INetPeer,
)
from tests.chat.doubles import LATENCY, PairedPeer, PairedRequest, connect_pair
from tests.chat.stage import ALICE, BOB, CAROL, Screen, Stage

TIMEOUT = DisconnectInfo(DisconnectReason.TIMEOUT)


class Conversations(SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage()
        self.alice = self.stage.node(ALICE, "alice")
        self.bob = self.stage.node(BOB, "bob")
        self.at_alice = self.alice.screen()
        self.at_bob = self.bob.screen()

    def connect(self) -> tuple[PairedPeer, PairedPeer]:
        """
        Alice has connected to bob; her end and his.
        """
        self.at_alice.type("/connect bob")
        self.stage.wait()
        self.at_alice.read()
        self.at_bob.read()
        return self.stage.town.pairs[-1]

    def test_a_session_as_a_newcomer_sees_it(self) -> None:
        alice = Screen(self.alice.factory)
        self.assertEqual(
            alice.read(),
            [
                f"*** p2pnet chat - you are alice (id {ALICE})",
                "*** type /help for what can be done here, /peers for who is there",
            ],
        )
        alice.type("/connect bob")
        self.stage.wait()
        self.assertEqual(
            alice.read(),
            [
                "*** looking for bob ...",
                "*** connected to bob (192.0.2.2:9050)",
                "*** your lines now go to bob",
            ],
        )
        self.assertEqual(
            self.at_bob.read(),
            ["*** connected to alice (192.0.2.1:9050)", "*** your lines now go to alice"],
        )
        alice.type("hello, bob", "//help is what I typed")
        self.at_bob.type("hi!")
        self.stage.wait()
        self.assertEqual(alice.read(), ["15:06 <bob> hi!"])
        self.assertEqual(
            self.at_bob.read(),
            ["15:06 <alice> hello, bob", "15:06 <alice> /help is what I typed"],
        )
        alice.type("/disconnect")
        self.stage.wait()
        self.assertEqual(alice.read(), ["*** you left bob"])
        self.assertEqual(self.at_bob.read(), ["*** alice left: hung up"])
        self.at_bob.type("are you there?")
        (complaint,) = self.at_bob.read()
        self.assertIn("gone", complaint)

    def test_unicode_and_ten_kilobytes_arrive_both_ways(self) -> None:
        self.connect()
        for near, far, name in (
            (self.at_alice, self.at_bob, "alice"),
            (self.at_bob, self.at_alice, "bob"),
        ):
            for text in ("Grüße, 日本語, 🎉", "x" * 10_240, "ü" * 32_768):
                near.type(text)
                self.stage.wait()
                self.assertEqual(near.read(), [])
                self.assertEqual(far.read(), [f"15:06 <{name}> {text}"])

    def test_a_text_over_the_limit_is_refused_with_its_numbers(self) -> None:
        self.connect()
        self.at_alice.type("x" * 32_769)
        (complaint,) = self.at_alice.read()
        self.assertIn("1 to 32768 characters, not 32769", complaint)

    def test_what_peers_write_cannot_touch_the_terminal(self) -> None:
        self.connect()
        (peer,) = self.alice.chat._circle.links()
        nasty = "a\x1b[2J\u202eb\n*** you left bob\r\x9b"
        self.alice.chat.say(str(BOB), nasty)
        self.at_alice.read()
        self.stage.wait()
        self.assertEqual(
            self.at_bob.read(),
            [
                r"15:06 <alice> a\x1b[2J\u202eb",
                r"15:06 <alice> *** you left bob\r\x9b",
            ],
        )
        self.assertTrue(peer.live)

    def test_disconnect_lets_what_was_said_arrive(self) -> None:
        self.connect()
        self.at_alice.type("one", "two", "/disconnect bob")
        self.stage.wait(2)
        self.assertEqual(
            self.at_bob.read(),
            ["15:06 <alice> one", "15:06 <alice> two", "*** alice left: hung up"],
        )
        self.assertEqual(self.alice.chat.numbers().conversations, [])

    def test_reconnecting_at_once_waits_for_the_old_connection_to_end(self) -> None:
        self.connect()
        self.at_alice.type("/disconnect", "/connect bob")
        self.stage.wait(3)
        self.assertEqual(
            self.at_alice.read(),
            [
                "*** you left bob",
                "*** looking for bob ...",
                "*** connected to bob (192.0.2.2:9050)",
            ],
        )
        first, second = self.stage.town.pairs
        self.assertIs(first[0].state, ConnectionState.DISCONNECTED)
        self.assertIs(second[0].state, ConnectionState.CONNECTED)
        self.at_alice.read()
        self.at_bob.read()
        self.at_alice.type("back")
        self.at_bob.type("good")
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), ["15:06 <bob> good"])
        self.assertEqual(self.at_bob.read(), ["15:06 <alice> back"])

    def test_a_peer_that_answers_no_heartbeat_is_left(self) -> None:
        _, far = self.connect()
        far.deaf = True
        self.stage.wait(50)
        self.assertEqual(self.at_alice.read(), ["*** bob left: no answer to 2 heartbeats"])

    def test_heartbeats_keep_a_silent_conversation(self) -> None:
        near, _ = self.connect()
        self.stage.clock.pump([0.5] * 7200)
        self.assertIs(near.state, ConnectionState.CONNECTED)
        self.assertGreater(len(near.sent), 200)

    def test_ping_tells_how_long_it_took(self) -> None:
        self.connect()
        self.at_alice.type("/ping", "/ping bob")
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), ["*** bob answered in 100.0 ms"] * 2)

    def test_a_new_nick_reaches_everybody(self) -> None:
        self.connect()
        self.at_alice.type('/nick "the boss"')
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), ["*** you are now the boss"])
        self.assertEqual(self.at_bob.read(), ["*** alice is now called the boss"])
        self.assertEqual(self.alice.rendezvous.names, ["the boss"])
        self.at_bob.type('/msg "the boss" yes')
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), ["15:06 <bob> yes"])

    def test_a_bad_nick_changes_nothing(self) -> None:
        self.at_alice.type("/nick " + "x" * 33)
        complaint = "*** username must have 1 to 32 characters, not 33"
        self.assertEqual(self.at_alice.read(), [complaint])
        self.assertEqual(self.alice.chat.identity.username, "alice")

    def test_a_nick_holds_even_if_the_rendezvous_cannot_be_told(self) -> None:
        self.alice.rendezvous.unreachable = True
        self.at_alice.type("/nick al")
        said, complaint = self.at_alice.read()
        self.assertEqual(said, "*** you are now al")
        self.assertIn("rendezvous does not answer", complaint)

    def test_several_conversations_and_the_focus(self) -> None:
        carol = self.stage.node(CAROL, "carol")
        at_carol = carol.screen()
        self.connect()
        self.at_alice.type("/connect carol")
        self.stage.wait()
        self.at_alice.read()
        at_carol.read()
        self.at_alice.type("for carol", "/msg bob for bob", "/focus bob", "bob again")
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), ["*** your lines now go to bob"])
        self.assertEqual(at_carol.read(), ["15:06 <alice> for carol"])
        self.assertEqual(self.at_bob.read(), ["15:06 <alice> for bob", "15:06 <alice> bob again"])
        self.at_alice.type("/who")
        shown = self.at_alice.read()
        self.assertEqual(len(shown), 3)
        self.assertIn("has the focus", shown[1])
        self.assertNotIn("has the focus", shown[2])

    def test_a_stranger_never_takes_the_focus_of_one_who_left(self) -> None:
        self.connect()
        self.at_bob.type("/disconnect")
        self.stage.wait(2)
        carol = self.stage.node(CAROL, "carol")
        carol.screen().type("/connect alice")
        self.stage.wait()
        self.at_alice.read()
        self.at_alice.type("a secret for bob")
        (complaint,) = self.at_alice.read()
        self.assertIn("gone", complaint)

    def test_while_connecting_a_stranger_does_not_take_the_focus(self) -> None:
        carol = self.stage.node(CAROL, "carol")
        self.alice.rendezvous.delay = 2.0
        self.at_alice.type("/connect bob")
        carol.screen().type("/connect alice")
        self.stage.wait()
        self.at_alice.read()
        self.at_alice.type("a secret for bob")
        (complaint,) = self.at_alice.read()
        self.assertIn("nobody has the focus", complaint)
        self.stage.wait(2)
        self.assertIn("*** your lines now go to bob", self.at_alice.read())

    def test_namesakes_are_told_apart(self) -> None:
        carol = self.stage.node(CAROL, "bob")
        at_carol = carol.screen()
        self.at_alice.type("/connect bob")
        shown = self.at_alice.read()
        self.assertIn(str(BOB), shown[1])
        self.assertIn(str(CAROL), shown[1])
        self.at_alice.type("/connect bob#bbbb", f"/connect {CAROL}")
        self.stage.wait()
        self.at_alice.read()
        at_carol.read()
        self.at_bob.read()
        at_carol.type("it is me")
        self.at_alice.type("/msg bob which one?", "/msg bob#cccc you!")
        self.stage.wait()
        complaint, heard = self.at_alice.read()
        self.assertIn('2 are called "bob"', complaint)
        self.assertEqual(heard, "15:06 <bob#cccc> it is me")
        self.assertEqual(at_carol.read(), ["15:06 <alice> you!"])
        self.assertEqual(self.at_bob.read(), [])

    def test_every_console_sees_what_another_one_says(self) -> None:
        second = self.alice.screen()
        self.connect()
        second.read()
        self.at_alice.type("from the first\x1b")
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), [])
        self.assertEqual(second.read(), [r"15:06 -> <bob> from the first\x1b"])

    def test_a_console_that_comes_late_sees_a_greeting_only(self) -> None:
        self.connect()
        self.at_bob.type("before")
        self.stage.wait()
        late = Screen(self.alice.factory)
        shown = late.read()
        self.assertEqual(
            shown[2:], ["*** in conversation with bob", "*** your lines now go to bob"]
        )

    # ------------------------------------------------------------ failures

    def test_failures_to_connect_say_why(self) -> None:
        self.at_alice.type("/connect nobody", "/connect alice", f"/connect {ALICE}")
        self.alice.rendezvous.refuses = DialFailed("no-path", f"no path to {BOB} within 30 s")
        self.at_alice.type("/connect bob")
        self.stage.wait()
        self.alice.rendezvous.unreachable = True
        self.at_alice.type("/connect bob", "/peers")
        self.stage.wait()
        shown = [line for line in self.at_alice.read() if "looking for" not in line]
        self.assertEqual(
            shown,
            [
                '*** cannot reach nobody: nobody is called "nobody"',
                "*** cannot reach alice: that is you",
                f"*** cannot reach {ALICE}: that is you",
                "*** cannot reach bob: no path to bob within 30 s",
                "*** cannot reach bob: the rendezvous does not answer",
                "*** cannot list: the rendezvous does not answer",
            ],
        )

    def test_whoever_is_offline_is_said_to_be(self) -> None:
        self.stage.town.enter(str(CAROL), "carol")
        entries = self.stage.town.entries
        entry = entries[str(CAROL)]
        entries[str(CAROL)] = replace(entry, address=None)
        self.at_alice.type("/connect carol")
        self.assertEqual(self.at_alice.read()[-1], '*** cannot reach carol: "carol" is not online')

    def test_somebody_without_an_introduction_is_rejected_with_a_reason(self) -> None:
        request = PairedRequest(("192.0.2.66", 6), b"\xff let me in", self.fail)
        self.alice.chat.connection_request(request)
        self.assertEqual(request.rejection, b"nobody has introduced you")
        self.assertEqual(self.alice.chat.numbers().rejected, 1)

    def test_a_request_that_expired_is_let_go(self) -> None:
        request = PairedRequest(("192.0.2.66", 6), str(BOB).encode(), self.fail)
        request.expired = True
        self.alice.chat.connection_request(request)
        self.assertIsNone(request.rejection)

    def test_one_person_cannot_take_all_connections(self) -> None:
        accepted = []

        def accept(listener: object) -> INetPeer:
            near, _ = connect_pair(self.stage.clock, None, listener)  # type: ignore[arg-type]  # a listener
            accepted.append(near)
            return near

        for _ in range(MAX_LINKS_EACH + 1):
            request = PairedRequest(("192.0.2.66", 6), str(BOB).encode(), accept)
            self.alice.chat.connection_request(request)
        self.assertEqual(len(accepted), MAX_LINKS_EACH)
        self.assertEqual(request.rejection, b"too many conversations")

    def test_who_says_to_be_another_is_not_believed(self) -> None:
        """
        Bob was introduced, and says hello as carol.
        """
        listener = Introduced(self.alice.chat, str(BOB), dialled=False)
        _, liar = connect_pair(self.stage.clock, listener, None)
        liar.send(encode(Hello(str(CAROL), 0, "carol")))
        liar.send(encode(Text(str(CAROL), 0, "it is me")))
        self.stage.wait()
        (notice,) = self.at_alice.read()
        self.assertIn("came to nothing", notice)

    def test_messages_off_the_channel_are_ignored(self) -> None:
        _, far = self.connect()
        text = encode(Text(str(BOB), 0, "psst"))
        far.send(text, DeliveryMethod.UNRELIABLE)
        far.send(text, channel=1)
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), [])
        self.assertEqual(self.alice.chat.numbers().counts.ignored, 2)

    def test_garbage_ends_a_conversation_with_a_reason(self) -> None:
        _, far = self.connect()
        far.send(b"\x00\x01garbage")
        self.stage.wait(2)
        (left,) = self.at_alice.read()
        self.assertIn("*** bob left: malformed message", left)
        (told,) = self.at_bob.read()
        self.assertIn("*** alice left: malformed message", told)
        self.assertEqual(self.alice.chat.numbers().counts.malformed, 1)

    def test_what_a_full_engine_does_not_take_waits_in_order(self) -> None:
        near, _ = self.connect()
        self.at_alice.type("one")
        near.full = True
        self.at_alice.type("two", "three")
        self.stage.wait(5)
        self.assertEqual(self.at_bob.read(), ["15:06 <alice> one"])
        near.full = False
        self.at_alice.type("four")
        self.stage.wait()
        self.assertEqual(
            self.at_bob.read(),
            ["15:06 <alice> two", "15:06 <alice> three", "15:06 <alice> four"],
        )
        self.assertEqual(self.at_alice.read(), [])
        self.assertEqual(self.alice.chat.numbers().counts.sent, 4)

    def test_a_line_too_many_is_refused_to_who_typed(self) -> None:
        _, far = self.connect()
        far.deaf = True
        self.at_alice.type(*["x"] * MAX_KEPT)
        self.assertEqual(self.at_alice.read(), [])
        self.at_alice.type("too much")
        self.assertEqual(
            self.at_alice.read(),
            [f"*** not said to bob: {MAX_KEPT} lines wait for their arrival already"],
        )

    def test_requests_of_one_console_are_bounded(self) -> None:
        self.at_alice.type(*[f"/connect {number:08x}-{str(BOB)[9:]}" for number in range(20)])
        self.assertLessEqual(len(self.alice.rendezvous.dialled), MAX_DIALS)

    def test_a_console_that_fails_does_not_disturb_the_others(self) -> None:
        class Broken:
            def told(self, event: object) -> None:
                raise ZeroDivisionError

        self.alice.chat._audience._observers.insert(0, Broken())  # type: ignore[arg-type]  # broken on purpose
        self.connect()
        self.at_bob.type("hi")
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), ["15:06 <bob> hi"])
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    # ------------------------------------------------------------ the end

    def test_stopping_says_goodbye_and_is_done_soon(self) -> None:
        self.connect()
        self.at_alice.type("last words")
        stopped = self.alice.chat.stopService()
        self.stage.wait(4 * LATENCY)
        self.successResultOf(stopped)
        self.assertEqual(
            self.at_bob.read(), ["15:06 <alice> last words", "*** alice left: went offline"]
        )
        self.assertEqual(self.at_alice.read(), ["*** the chat ends here, goodbye"])
        self.assertTrue(self.at_alice.transport.disconnecting)
        self.assertEqual(self.alice.quits, [])

    def test_stopping_does_not_wait_for_the_dead(self) -> None:
        near, far = self.connect()
        far.deaf = True
        stopped = self.alice.chat.stopService()
        self.stage.wait(STOP_GRACE - 0.05)
        self.stage.wait(0.1)
        self.successResultOf(stopped)
        self.assertIs(near.state, ConnectionState.DISCONNECTED)

    def test_stopping_with_nobody_there_is_immediate(self) -> None:
        self.successResultOf(self.alice.chat.stopService())

    def test_stopping_gives_up_what_is_being_dialled(self) -> None:
        reached = self.alice.chat.connect("bob")
        self.successResultOf(self.alice.chat.stopService())
        self.failureResultOf(reached, DialFailed)
        self.stage.wait()
        self.assertEqual(self.stage.town.pairs, [])
        self.failureResultOf(self.alice.chat.connect("bob"), DialFailed)

    def test_nothing_is_left_on_the_clock(self) -> None:
        self.connect()
        for node in (self.alice, self.bob):
            node.chat.stopService()
        self.stage.wait(3)
        self.assertEqual(self.stage.clock.getDelayedCalls(), [])


class BothDial(SynchronousTestCase):
    """
    Alice and bob dial each other at the same time.
    """

    crossed = 0
    """Rounds in which there were two connections for a while."""

    def both(self, alice_delay: float, bob_delay: float) -> None:
        stage = Stage()
        alice, bob = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
        at_alice, at_bob = alice.screen(), bob.screen()
        alice.rendezvous.delay, bob.rendezvous.delay = alice_delay, bob_delay
        at_alice.type("/connect bob")
        at_bob.type("/connect alice")
        said = 0
        for step in range(100):
            stage.wait(0.01)
            if alice.chat.talks_to(str(BOB)) and bob.chat.talks_to(str(ALICE)) and step < 80:
                said += 1
                for node, other in ((alice, BOB), (bob, ALICE)):
                    node.chat.say(str(other), f"line {step}", None)
        stage.wait(2)
        standing = [pair for pair in stage.town.pairs if pair[0].state == ConnectionState.CONNECTED]
        self.assertEqual(len(standing), 1)
        self.assertEqual(standing[0][1].state, ConnectionState.CONNECTED)
        self.crossed += len(stage.town.pairs) == 2
        if len(stage.town.pairs) == 2:
            # The one that alice, of the smaller id, has dialled: it leads to bob.
            self.assertEqual(standing[0][0].address, stage.town.address(str(BOB)))
        self.assertGreater(said, 30)
        for screen, name in ((at_alice, "bob"), (at_bob, "alice")):
            shown = screen.read()
            heard = [line for line in shown if f"<{name}> line" in line and "->" not in line]
            self.assertEqual(len(heard), said)
            self.assertEqual(len(set(heard)), said)
            self.assertEqual(len([line for line in shown if "connected to" in line]), 1)
            self.assertEqual([line for line in shown if "left" in line or "cannot" in line], [])
        for node in (alice, bob):
            self.assertEqual(len(node.chat.conversations()), 1)

    def test_one_connection_stays_and_nothing_is_lost(self) -> None:
        for alice_delay in (0.02, 0.05, 0.08, 0.11, 0.14, 0.3):
            for bob_delay in (0.02, 0.05, 0.08, 0.11, 0.14, 0.3):
                self.both(alice_delay, bob_delay)
        self.assertGreater(self.crossed, 15)

    def test_a_dial_that_lost_to_theirs_is_no_failure(self) -> None:
        """
        The engine ends our attempt, and lets theirs in within the same turn.
        """
        stage = Stage()
        alice, bob = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
        at_alice = alice.screen()
        alice.rendezvous.delay = 1000.0
        at_alice.type("/connect bob")
        alice.rendezvous.pending[0].errback(DialFailed("no-path", "peer to peer connection"))
        connect_pair(
            stage.clock,
            Introduced(bob.chat, str(ALICE), dialled=True),
            Introduced(alice.chat, str(BOB), dialled=False),
        )
        stage.wait()
        self.assertEqual(
            [line.split(" (")[0] for line in at_alice.read()],
            ["*** looking for bob ...", "*** connected to bob", "*** your lines now go to bob"],
        )

    def test_who_lost_the_connection_without_our_notice_dials_again(self) -> None:
        stage = Stage()
        alice, bob = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
        at_alice, at_bob = alice.screen(), bob.screen()
        at_bob.type("/connect alice")
        stage.wait()
        near, far = stage.town.pairs[0]
        near.deaf = far.deaf = True
        near.end(TIMEOUT)
        stage.wait(2)
        self.assertEqual(at_alice.read()[2:], [])
        self.assertEqual(at_bob.read()[-1], "*** alice is back")
        at_alice.type("still here")
        stage.wait()
        self.assertEqual(at_bob.read(), ["15:06 <alice> still here"])
        self.assertEqual(far.state, ConnectionState.DISCONNECTED)


class Seekers(SynchronousTestCase):
    """
    Who is started with somebody to connect to.
    """

    def test_it_waits_for_the_rendezvous_and_for_the_peer(self) -> None:
        stage = Stage()
        alice = stage.node(ALICE, "alice", connect_to="bob", online=False)
        screen = Screen(alice.factory)
        self.assertEqual(
            screen.read()[2:],
            ["*** not registered yet: waiting for the rendezvous", "*** looking for bob ..."],
        )
        stage.wait(60)
        self.assertEqual(screen.read(), [])
        alice.rendezvous.online = True
        stage.wait(60)
        self.assertEqual(
            screen.read(),
            [
                "*** online, seen as 192.0.2.200:9050",
                '*** cannot reach bob yet: nobody is called "bob"; trying again now and then',
            ],
        )
        bob = stage.node(BOB, "bob")
        stage.wait(32)
        self.assertEqual(
            screen.read(),
            ["*** connected to bob (192.0.2.2:9050)", "*** your lines now go to bob"],
        )
        self.assertTrue(bob.chat.talks_to(str(ALICE)))
        self.assertIsNone(alice.chat.seeking)
        bob.chat.disconnect(str(ALICE))
        stage.wait(60)
        self.assertEqual(screen.read(), ["*** bob left: hung up"])

    def test_it_takes_the_call_of_the_peer_for_its_own(self) -> None:
        stage = Stage()
        alice = stage.node(ALICE, "alice", connect_to="bob")
        stage.wait(1)
        stage.node(BOB, "bob").screen().type("/connect alice")
        stage.wait(32)
        self.assertIsNone(alice.chat.seeking)
        self.assertEqual(alice.rendezvous.dialled, [])

    def test_what_time_cannot_cure_is_given_up(self) -> None:
        stage = Stage()
        alice = stage.node(ALICE, "alice", connect_to="alice")
        stage.wait(1)
        self.assertIsNone(alice.chat.seeking)

    def test_it_is_polite(self) -> None:
        """
        Ten minutes of an absent peer.
        """
        stage = Stage()
        alice = stage.node(ALICE, "alice", connect_to=str(BOB))
        screen = alice.screen()
        stage.clock.pump([0.1] * 6000)
        self.assertLess(len(alice.rendezvous.dialled), 30)
        self.assertEqual(len(screen.read()), 1)


@pytest.mark.parametrize("heartbeat", [0.0, -1.0, float("nan")])
def test_a_heartbeat_must_be_positive(heartbeat: float) -> None:
    with pytest.raises(ValueError, match=r"^heartbeat"):
        Stage().node(ALICE, "alice", heartbeat=heartbeat)
