"""
A connection breaks and comes back, or does not: seen from the consoles.
"""

from __future__ import annotations

import json

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.chat.circle import MAX_LINKS
from p2pnet.chat.ledger import MAX_KEPT
from p2pnet.chat.listening import Introduced
from p2pnet.chat.messages import Hello, encode
from p2pnet.chat.regaining import COURTESY, PATIENCE
from p2pnet.interfaces import (
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    DisconnectReason,
    INetPeer,
)
from p2pnet.net.listener import EventBasedNetListener
from tests.chat.doubles import PairedPeer, PairedRequest, connect_pair
from tests.chat.stage import ALICE, BOB, Screen, Stage

TIMEOUT = DisconnectInfo(DisconnectReason.TIMEOUT)
NO_PATH = DialFailed("no-path", f"no path to {BOB} within 10 s")
LOST_BOB = "*** lost bob (time-out), looking for them again ..."
LOST_ALICE = "*** lost alice (time-out), looking for them again ..."


class Breaks(SynchronousTestCase):
    """
    Alice has dialled bob.
    """

    def setUp(self) -> None:
        self.stage = Stage()
        self.alice = self.stage.node(ALICE, "alice")
        self.bob = self.stage.node(BOB, "bob")
        self.at_alice = self.alice.screen()
        self.at_bob = self.bob.screen()
        self.at_alice.type("/connect bob")
        self.stage.wait()
        self.read()

    def read(self) -> tuple[list[str], list[str]]:
        """
        What alice and bob have seen since the last look.
        """
        return self.at_alice.read(), self.at_bob.read()

    def cut(self, *, for_good: bool = False) -> None:
        """
        The path is gone, and both notice at the same moment.
        """
        if for_good:
            self.alice.rendezvous.refuses = self.bob.rendezvous.refuses = NO_PATH
        for pair in self.stage.town.pairs:
            for peer in pair:
                peer.end(TIMEOUT)

    def heal(self) -> None:
        self.alice.rendezvous.refuses = self.bob.rendezvous.refuses = None

    # ------------------------------------------------------------ coming back

    def test_a_break_mends_itself_and_loses_nothing(self) -> None:
        near, far = self.stage.town.pairs[0]
        self.at_alice.type("heard")
        self.stage.wait()
        near.deaf = far.deaf = True
        self.at_alice.type("on its way when the path broke")
        self.at_bob.type("so was this")
        self.stage.wait()
        self.assertEqual(self.read(), ([], ["15:06 <alice> heard"]))
        self.cut()
        self.at_alice.type("typed meanwhile")
        self.at_bob.type("me, too")
        self.assertEqual(self.read(), ([LOST_BOB], [LOST_ALICE]))
        self.stage.wait()
        self.assertEqual(
            self.read(),
            (
                ["*** bob is back", "15:06 <bob> so was this", "15:06 <bob> me, too"],
                [
                    "*** alice is back",
                    "15:06 <alice> on its way when the path broke",
                    "15:06 <alice> typed meanwhile",
                ],
            ),
        )
        self.at_alice.type("and the focus is where it was")
        self.stage.wait()
        self.assertEqual(self.read(), ([], ["15:06 <alice> and the focus is where it was"]))
        self.assertEqual(len(self.stage.town.pairs), 2)

    def test_who_dialled_dials_again_at_once(self) -> None:
        self.cut()
        self.stage.wait(0.02)
        self.assertEqual(self.alice.rendezvous.dialled, [str(BOB)] * 2)
        self.stage.wait(2 * COURTESY)
        self.assertEqual(self.bob.rendezvous.dialled, [])

    def test_the_other_one_dials_if_not_called_back(self) -> None:
        self.alice.rendezvous.refuses = NO_PATH
        self.cut()
        self.stage.wait(COURTESY - 0.05)
        self.assertEqual(self.bob.rendezvous.dialled, [])
        self.stage.wait(1)
        self.assertEqual(self.bob.rendezvous.dialled, [str(ALICE)])
        self.assertEqual(
            self.read(), ([LOST_BOB, "*** bob is back"], [LOST_ALICE, "*** alice is back"])
        )

    def test_it_is_tried_again_less_and_less_often(self) -> None:
        self.cut(for_good=True)
        self.stage.wait(PATIENCE + 1)
        for node in (self.alice, self.bob):
            self.assertGreater(len(node.rendezvous.dialled), 6)
            self.assertLess(len(node.rendezvous.dialled), 13)

    def test_only_one_side_notices(self) -> None:
        """
        Bob's engine still believes in the old connection when alice calls again.
        """
        near, far = self.stage.town.pairs[0]
        near.deaf = far.deaf = True
        self.at_bob.type("into the dark")
        near.end(TIMEOUT)
        self.stage.wait(2)
        self.assertEqual(
            self.read(), ([LOST_BOB, "*** bob is back", "15:06 <bob> into the dark"], [])
        )
        self.at_alice.type("and back")
        self.stage.wait()
        self.assertEqual(self.read(), ([], ["15:06 <alice> and back"]))

    def test_a_side_that_was_forgotten_comes_back_as_well(self) -> None:
        """
        Our engine is told that the other one knows of no connection: that is no goodbye.
        """
        near, far = self.stage.town.pairs[0]
        near.end(DisconnectInfo(DisconnectReason.REMOTE_CONNECTION_CLOSE))
        far.end(TIMEOUT)
        self.stage.wait()
        self.assertEqual(self.at_alice.read()[-1], "*** bob is back")

    def test_the_engines_own_goodbye_is_one(self) -> None:
        """
        Who stops may have no time to see his goodbye arrive.
        """
        near, _ = self.stage.town.pairs[0]
        near.end(DisconnectInfo(DisconnectReason.REMOTE_CONNECTION_CLOSE, b"went offline"))
        self.stage.wait(2 * COURTESY)
        self.assertEqual(self.at_alice.read(), ["*** bob left: went offline"])
        self.assertEqual(self.alice.rendezvous.dialled, [str(BOB)])

    def test_it_breaks_again_and_again(self) -> None:
        for number in range(20):
            self.at_alice.type(f"a{number}")
            self.at_bob.type(f"b{number}")
            self.stage.wait(number * 0.02)
            self.cut()
        self.stage.wait(2)
        shown = self.read()
        for screen, name, letter in ((shown[0], "bob", "b"), (shown[1], "alice", "a")):
            heard = [line for line in screen if f"<{name}>" in line]
            self.assertEqual(heard, [f"15:06 <{name}> {letter}{number}" for number in range(20)])

    def test_a_new_name_chosen_meanwhile_is_told(self) -> None:
        self.cut()
        self.at_bob.type("/nick robert")
        self.stage.wait()
        self.assertEqual(
            self.at_alice.read(), [LOST_BOB, "*** bob is now called robert", "*** robert is back"]
        )

    def test_both_may_call_back_at_the_same_moment(self) -> None:
        for delay in (0.0, 0.03, 0.07, 0.2):
            self.alice.rendezvous.delay = COURTESY + delay
            self.at_alice.type(f"a {delay}")
            self.cut()
            self.at_bob.type(f"b {delay}")
            self.stage.wait(COURTESY + 1)
            alice, bob = self.read()
            self.assertEqual(
                [line for line in alice if "***" not in line], [f"15:06 <bob> b {delay}"]
            )
            self.assertEqual(
                [line for line in bob if "***" not in line], [f"15:06 <alice> a {delay}"]
            )
            self.assertEqual(alice.count("*** bob is back"), 1)
            self.assertEqual(bob.count("*** alice is back"), 1)
            self.assertEqual(len(self.alice.chat.conversations()), 1)

    def test_what_went_over_a_rival_that_broke_is_said_again(self) -> None:
        """
        Alice has two connections for a while; the one that she spoke on breaks.
        """
        near, far = connect_pair(
            self.stage.clock,
            Introduced(self.alice.chat, str(BOB), dialled=False),
            Introduced(self.bob.chat, str(ALICE), dialled=True),
        )
        self.stage.wait(0.06)
        far.deaf = True
        self.at_alice.type("over the newer one")
        self.assertIn(b"over the newer one", near.sent[-1])
        near.end(TIMEOUT)
        self.stage.wait()
        self.assertEqual(self.read(), ([], ["15:06 <alice> over the newer one"]))

    # ------------------------------------------------------------ meanwhile

    def test_meanwhile_one_can_see_how_it_stands(self) -> None:
        self.cut(for_good=True)
        self.at_alice.read()
        self.at_alice.type("one", "two", "/who", "/ping", "/connect bob", "/stats")
        who, ping, connect, *_, stats = self.at_alice.read()[1:]
        self.assertEqual(who, f"***   bob (id {BOB}, lost, being looked for, has the focus)")
        self.assertEqual(ping, "*** bob is lost at this moment")
        self.assertEqual(connect, "*** bob is being looked for already")
        self.assertEqual(
            stats, "*** bob: lost, waiting 2, sent 0, received 0, ignored 0, malformed 0"
        )
        late = Screen(self.alice.factory)
        self.assertIn("*** in conversation with bob", late.read())

    def test_lines_that_wait_are_bounded(self) -> None:
        self.cut(for_good=True)
        self.at_alice.read()
        self.at_alice.type(*["x"] * MAX_KEPT, "too much")
        self.assertEqual(
            self.at_alice.read(),
            [f"*** not said to bob: {MAX_KEPT} lines wait for their arrival already"],
        )

    def test_one_who_is_looked_for_holds_the_place(self) -> None:
        self.cut(for_good=True)
        accepted = []

        def accept(listener: object) -> INetPeer:
            near, _ = connect_pair(self.stage.clock, None, listener)  # type: ignore[arg-type]  # a listener
            accepted.append(near)
            return near

        for number in range(MAX_LINKS):
            peer_id = f"{number:08x}-0000-4000-8000-000000000000"
            self.stage.town.enter(peer_id, f"peer {number}")
            request = PairedRequest(("192.0.2.66", 6), peer_id.encode(), accept)
            self.alice.chat.connection_request(request)
        self.assertEqual(len(accepted), MAX_LINKS - 1)
        self.assertEqual(request.rejection, b"too many conversations")
        request = PairedRequest(("192.0.2.66", 6), str(BOB).encode(), accept)
        self.alice.chat.connection_request(request)
        self.assertEqual(len(accepted), MAX_LINKS)

    # ------------------------------------------------------------ the end of it

    def test_who_does_not_come_back_is_given_up_and_what_is_lost_is_told(self) -> None:
        near, far = self.stage.town.pairs[0]
        near.deaf = far.deaf = True
        self.at_alice.type("under way")
        self.stage.wait()
        self.cut(for_good=True)
        self.at_alice.type("x" * 100, "\x1b[2J")
        self.stage.wait(PATIENCE - 0.1)
        self.assertEqual(self.read(), ([LOST_BOB], [LOST_ALICE]))
        self.stage.wait(0.2)
        self.assertEqual(
            self.read(),
            (
                [
                    "*** bob is gone: 3 lines did not arrive",
                    '***   "under way"',
                    f'***   "{"x" * 64}"...',
                    r'***   "\x1b[2J"',
                ],
                ["*** alice is gone: not found again within 60 s"],
            ),
        )
        self.at_alice.type("hello?", "/who")
        complaint, _, nobody = self.at_alice.read()
        self.assertEqual(
            complaint, "*** the one you talked to is gone: /connect or /focus somebody"
        )
        self.assertIn("no conversation", nobody)
        self.heal()
        self.stage.wait(PATIENCE)
        self.assertEqual(self.read(), ([], []))

    def test_many_lost_lines_are_not_quoted_all(self) -> None:
        self.cut(for_good=True)
        self.at_alice.type(*map(str, range(50)))
        self.stage.wait(PATIENCE + 0.1)
        _, gone, *quoted = self.at_alice.read()
        self.assertEqual(gone, "*** bob is gone: 50 lines did not arrive")
        self.assertEqual(len(quoted), 21)
        self.assertEqual(quoted[-1], "***   and 30 more")

    def test_after_that_a_new_conversation_loses_and_repeats_nothing(self) -> None:
        """
        The numbers go on where they were, though one side has given up and the other has not.
        """
        self.at_alice.type("one", "two")
        self.at_bob.type("uno")
        self.stage.wait()
        self.cut(for_good=True)
        self.at_alice.type("given up")
        self.stage.wait(PATIENCE + 1)
        self.read()
        self.heal()
        self.at_bob.type("/connect alice")
        self.stage.wait()
        self.read()
        self.at_alice.type("three", "four")
        self.at_bob.type("dos")
        self.stage.wait()
        self.assertEqual(
            self.read(), (["15:07 <bob> dos"], ["15:07 <alice> three", "15:07 <alice> four"])
        )

    def test_the_time_for_it_can_be_set(self) -> None:
        stage = Stage()
        alice = stage.node(ALICE, "alice", patience=5.0)
        bob = stage.node(BOB, "bob", patience=5.0)
        at_alice = alice.screen()
        at_alice.type("/connect bob")
        stage.wait()
        at_alice.read()
        alice.rendezvous.refuses = bob.rendezvous.refuses = NO_PATH
        for peer in stage.town.pairs[0]:
            peer.end(TIMEOUT)
        stage.wait(4.9)
        self.assertEqual(at_alice.read(), [LOST_BOB])
        stage.wait(0.2)
        self.assertEqual(at_alice.read(), ["*** bob is gone: not found again within 5 s"])

    def test_who_comes_back_at_the_last_moment_is_awaited(self) -> None:
        self.alice.rendezvous.refuses = self.bob.rendezvous.refuses = NO_PATH
        self.cut()
        self.stage.wait(PATIENCE - 0.5)
        self.assertEqual(self.read(), ([LOST_BOB], [LOST_ALICE]))
        connect_pair(
            self.stage.clock,
            Introduced(self.alice.chat, str(BOB), dialled=True),
            silent := PairedListener(),
        )
        self.stage.wait(1)
        self.assertEqual(self.at_alice.read(), [])
        silent.peer.send(encode(Hello(str(BOB), 0, "bob", received=0, resumes=True)))
        self.stage.wait(1)
        self.assertEqual(self.at_alice.read(), ["*** bob is back"])

    def test_a_search_that_is_over_dials_nobody(self) -> None:
        self.alice.rendezvous.delay = 2.0
        self.cut()
        self.bob.rendezvous.refuses = NO_PATH
        self.stage.wait(1)
        self.at_alice.type("/disconnect")
        self.stage.wait(10)
        self.assertEqual(self.at_alice.read(), [LOST_BOB, "*** you left bob"])
        self.assertEqual(len(self.stage.town.pairs), 1)

    def test_a_dial_that_takes_too_long_is_given_up_with_the_search(self) -> None:
        self.alice.rendezvous.delay = 2 * PATIENCE
        self.bob.rendezvous.refuses = NO_PATH
        self.cut()
        self.stage.wait(3 * PATIENCE)
        self.assertEqual(
            self.at_alice.read(), [LOST_BOB, "*** bob is gone: not found again within 60 s"]
        )
        self.assertEqual(len(self.stage.town.pairs), 1)

    def test_who_comes_back_after_that_is_met_anew(self) -> None:
        """
        Alice left bob once, which is forgotten since he called again.
        """
        stage = Stage()
        alice = stage.node(ALICE, "alice", patience=5.0)
        bob = stage.node(BOB, "bob")
        at_alice, at_bob = alice.screen(), bob.screen()
        at_alice.type("/connect bob")
        stage.wait()
        at_alice.type("/disconnect")
        stage.wait()
        at_bob.type("/connect alice")
        stage.wait()
        alice.rendezvous.refuses = bob.rendezvous.refuses = NO_PATH
        stage.town.pairs[-1][0].end(TIMEOUT)
        stage.town.pairs[-1][1].end(TIMEOUT)
        at_bob.type("hello again")
        stage.wait(6)
        self.assertEqual(at_alice.read()[-1], "*** bob is gone: not found again within 5 s")
        bob.rendezvous.refuses = None
        at_bob.read()
        stage.wait(10)
        self.assertEqual(
            at_alice.read(),
            [
                "*** connected to bob (192.0.2.2:9050)",
                "15:06 <bob> hello again",
            ],
        )
        self.assertEqual(at_bob.read(), ["*** alice is back"])

    def test_a_refusal_is_final(self) -> None:
        refusal = DialFailed("rejected", "bob refused: too many conversations")
        self.alice.rendezvous.refuses = refusal
        self.cut()
        self.stage.wait(0.1)
        self.assertEqual(
            self.at_alice.read(), [LOST_BOB, "*** bob is gone: bob refused: too many conversations"]
        )
        self.stage.wait(2)
        self.assertEqual(self.alice.rendezvous.dialled, [str(BOB)] * 2)

    def test_a_goodbye_is_final(self) -> None:
        self.at_bob.type("/disconnect")
        self.stage.wait(PATIENCE)
        self.assertEqual(self.read(), (["*** bob left: hung up"], ["*** you left alice"]))
        self.assertEqual(self.alice.rendezvous.dialled, [str(BOB)])
        self.assertEqual(self.bob.rendezvous.dialled, [])

    def test_disconnect_ends_the_search_and_the_other_one_is_told(self) -> None:
        self.cut(for_good=True)
        self.at_alice.type("never mind", "/disconnect")
        self.assertEqual(
            self.at_alice.read(),
            [
                LOST_BOB,
                "*** you left bob",
                "*** 1 line to bob did not arrive",
                '***   "never mind"',
            ],
        )
        dialled = len(self.alice.rendezvous.dialled)
        self.stage.wait(2)
        self.heal()
        self.stage.wait(10)
        self.assertEqual(
            self.read(), ([], [LOST_ALICE, "*** alice is back", "*** alice left: hung up"])
        )
        self.assertEqual(len(self.alice.rendezvous.dialled), dialled)
        self.at_bob.type("/connect alice")
        self.stage.wait()
        self.assertEqual(
            [shown[0].split(" (")[0] for shown in self.read()],
            ["*** connected to bob", "*** looking for alice ..."],
        )

    def test_disconnect_while_hellos_are_under_way(self) -> None:
        self.cut()
        self.stage.wait(0.08)
        self.at_alice.type("/disconnect")
        self.stage.wait(PATIENCE)
        alice, bob = self.read()
        self.assertEqual(alice, [LOST_BOB, "*** you left bob"])
        self.assertEqual(bob[-1], "*** alice left: hung up")
        self.assertFalse(self.bob.chat.talks_to(str(ALICE)))

    def test_who_left_can_change_their_mind(self) -> None:
        self.cut(for_good=True)
        self.at_alice.type("/disconnect")
        self.heal()
        self.at_alice.type("/connect bob")
        self.stage.wait(5)
        alice, bob = self.read()
        self.assertIn("*** connected to bob (192.0.2.2:9050)", alice)
        self.assertEqual(bob, [LOST_ALICE, "*** alice is back"])
        self.at_bob.type("good")
        self.stage.wait()
        self.assertEqual(self.at_alice.read(), ["15:06 <bob> good"])

    def test_what_was_said_before_a_goodbye_and_did_not_arrive_is_told(self) -> None:
        near, far = self.stage.town.pairs[0]
        near.deaf = far.deaf = True
        self.at_alice.type("too late", "/disconnect")
        self.stage.wait(3)
        self.assertEqual(
            self.at_alice.read(),
            ["*** you left bob", "*** 1 line to bob did not arrive", '***   "too late"'],
        )

    def test_the_last_words_of_both_are_known_to_have_arrived(self) -> None:
        self.at_bob.type("bye")
        self.at_alice.type("bye", "/disconnect")
        self.stage.wait(3)
        self.assertEqual(
            self.read(),
            (
                ["*** you left bob", "15:06 <bob> bye"],
                ["15:06 <alice> bye", "*** alice left: hung up"],
            ),
        )

    def test_stopping_tells_what_did_not_arrive(self) -> None:
        self.cut(for_good=True)
        self.at_alice.type("never to be heard")
        self.at_alice.read()
        self.successResultOf(self.alice.chat.stopService())
        self.assertEqual(
            self.at_alice.read(),
            [
                "*** bob is gone: 1 line did not arrive",
                '***   "never to be heard"',
                "*** the chat ends here, goodbye",
            ],
        )
        self.bob.chat.stopService()
        self.stage.wait(PATIENCE)
        self.assertEqual(self.stage.clock.getDelayedCalls(), [])


class PairedListener(EventBasedNetListener):
    """
    Somebody who connects, and says nothing of his own accord.
    """

    peer: INetPeer

    def peer_connected(self, peer: INetPeer) -> None:
        self.peer = peer


class OldChat:
    """
    A chat of version 1: no numbers, no confirmations.
    """

    def __init__(self) -> None:
        self.peer: INetPeer | None = None
        self.heard: list[str] = []

    def take(self, near: PairedPeer) -> None:
        self.peer = near
        self.say("hello", {"username": "bob", "version": "1"})

    def say(self, kind: str, body: object) -> None:
        assert self.peer is not None
        message = {"type": kind, "from": str(BOB), "timestamp": 0, "body": body}
        self.peer.send(json.dumps(message).encode())

    def peer_connected(self, peer: INetPeer) -> None: ...

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None: ...

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        message = json.loads(data)
        assert message["type"] in ("hello", "message", "ping", "pong", "disconnect")
        if message["type"] == "message":
            self.heard.append(message["body"])


def test_an_older_chat_is_called_back_and_told_nothing_twice() -> None:
    stage = Stage()
    alice = stage.node(ALICE, "alice")
    stage.town.enter(str(BOB), "bob")
    screen, bob = alice.screen(), OldChat()

    def call() -> PairedPeer:
        listener = Introduced(alice.chat, str(BOB), dialled=True)
        near, far = connect_pair(stage.clock, listener, bob)  # type: ignore[arg-type]  # enough of one
        bob.take(far)
        stage.wait()
        return near

    near = call()
    screen.type("one")
    stage.wait()
    near.end(TIMEOUT)
    screen.type("typed meanwhile")
    call()
    bob.say("message", "hi")
    screen.type("two")
    stage.wait()
    assert bob.heard == ["one", "typed meanwhile", "two"]
    assert screen.read()[2:] == [LOST_BOB, "*** bob is back", "15:06 <bob> hi"]


@pytest.mark.parametrize("patience", [0.0, -1.0, float("nan")])
def test_patience_must_be_positive(patience: float) -> None:
    with pytest.raises(ValueError, match=r"^patience"):
        Stage().node(ALICE, "alice", patience=patience)
