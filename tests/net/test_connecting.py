"""
What `connect` promises, and what a listener can say to who asks.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import (
    ConnectFailed,
    ConnectionState,
    DisconnectReason,
    INetPeer,
    MessageTooLarge,
    RudpError,
)
from p2pnet.serialization import NetDataWriter
from tests.net.world import ALICE, BOB, CAROL, Notebook, World, make_manager
from tests.rudp.cable import request


class ConnectTests(SynchronousTestCase):
    """
    The caller's side.
    """

    def test_the_deferred_gives_the_peer_after_the_listener_was_told(self) -> None:
        world = World()
        alice, _ = world.node(ALICE), world.node(BOB)
        connected = alice.connect(BOB)
        told: list[list[INetPeer]] = []
        connected.addCallback(lambda peer: told.append([peer, *alice.heard.connected]))
        self.assertNoResult(connected)
        world.run(0.5)
        peer = alice.heard.connected[0]
        self.assertEqual(told, [[peer, peer]])
        self.assertEqual((peer.address, peer.state), (BOB, ConnectionState.CONNECTED))

    def test_no_answer_is_a_failure_that_says_so(self) -> None:
        world = World()
        alice = world.node(ALICE)
        connected = alice.connect(BOB)
        world.run(5.4)
        self.assertNoResult(connected)
        world.run(0.2)
        failure = self.failureResultOf(connected, ConnectFailed)
        self.assertIs(failure.value.info.reason, DisconnectReason.CONNECTION_FAILED)
        self.assertEqual(str(failure.value), "connection failed")
        self.assertEqual(alice.heard.reasons, [DisconnectReason.CONNECTION_FAILED])
        self.assertEqual(alice.heard.connected, [])

    def test_a_rejection_is_a_failure_with_what_the_other_side_said(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        bob.heard.decide = lambda request: request.reject(b"members only")
        connected = alice.connect(BOB)
        world.run(0.5)
        info = self.failureResultOf(connected, ConnectFailed).value.info
        self.assertIs(info.reason, DisconnectReason.CONNECTION_REJECTED)
        self.assertEqual(info.data, b"members only")
        self.assertEqual(bob.heard.calls, ["connection_request"])

    def test_a_rejection_by_force_says_it_once_or_not_at_all(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        bob.heard.decide = lambda request: request.reject_force(b"never")
        connected = alice.connect(BOB)
        world.run(0.5)
        self.assertEqual(self.failureResultOf(connected, ConnectFailed).value.info.data, b"never")
        bob.heard.decide = lambda request: request.reject_force()
        connected = alice.connect(BOB)
        world.run(4.0)
        self.assertNoResult(connected)
        world.run(2.0)
        failure = self.failureResultOf(connected, ConnectFailed)
        self.assertIs(failure.value.info.reason, DisconnectReason.CONNECTION_FAILED)

    def test_everybody_who_waits_for_a_connection_gets_it(self) -> None:
        world = World()
        alice, _ = world.node(ALICE), world.node(BOB)
        waiting = [alice.connect(BOB) for _ in range(3)]
        world.run(0.5)
        self.assertEqual(len({self.successResultOf(one) for one in waiting}), 1)
        self.assertEqual(self.successResultOf(alice.connect(BOB)), alice.heard.connected[0])
        self.assertEqual(alice.heard.calls.count("peer_connected"), 1)

    def test_everybody_who_waits_hears_of_a_failure(self) -> None:
        world = World()
        alice = world.node(ALICE, max_connect_attempts=0)
        waiting = [alice.connect(BOB) for _ in range(3)]
        world.run(0.6)
        for one in waiting:
            self.failureResultOf(one, ConnectFailed)

    def test_cancelling_gives_the_attempt_up(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        connected = alice.connect(BOB)
        connected.cancel()
        self.failureResultOf(connected, CancelledError)
        world.run(8.0)
        self.assertEqual(alice.heard.reasons, [DisconnectReason.DISCONNECT_PEER_CALLED])
        self.assertEqual(alice.manager.peers, [])
        self.assertEqual(bob.manager.peers, [])

    def test_cancelling_one_of_two_leaves_the_other(self) -> None:
        world = World()
        alice, _ = world.node(ALICE), world.node(BOB)
        first, second = alice.connect(BOB), alice.connect(BOB)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        world.run(0.5)
        self.assertEqual(self.successResultOf(second), alice.heard.connected[0])

    def test_cancelling_from_inside_of_what_is_told_harms_nothing(self) -> None:
        world = World()
        alice = world.node(ALICE, max_connect_attempts=0)
        connected = alice.connect(BOB)
        alice.heard.also["peer_disconnected"] = lambda peer, info: connected.cancel()
        world.run(1.0)
        self.failureResultOf(connected, CancelledError, ConnectFailed)
        self.assertEqual(alice.heard.calls, ["peer_disconnected"])

    def test_one_who_waits_may_cancel_the_others(self) -> None:
        world = World()
        alice, _ = world.node(ALICE), world.node(BOB)
        first, second = alice.connect(BOB), alice.connect(BOB)
        first.addCallback(lambda peer: second.cancel())
        world.run(0.5)
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)
        world.run(5.0)
        self.assertEqual(len(alice.manager.peers), 1)

    def test_an_attempt_given_up_in_peer_connected_is_a_goodbye(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        connected = alice.connect(BOB)
        alice.heard.also["peer_connected"] = lambda peer: connected.cancel()
        world.run(1.0)
        self.failureResultOf(connected, CancelledError)
        self.assertEqual(bob.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])

    def test_a_callback_that_raises_is_its_owners_business(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        connected = alice.connect(BOB)
        connected.addCallback(lambda peer: 1 / 0)
        world.run(0.5)
        self.failureResultOf(connected, ZeroDivisionError)
        alice.heard.connected[0].send(b"still works")
        world.run(0.5)
        self.assertEqual(bob.heard.messages, [b"still works"])

    def test_a_manager_that_is_not_running_connects_nobody(self) -> None:
        world = World()
        manager = make_manager(world.network, Notebook(), ALICE)
        with self.assertRaisesRegex(RudpError, "not running"):
            manager.connect(BOB)

    def test_what_cannot_be_dialled_is_refused_at_once(self) -> None:
        world = World()
        alice = world.node(ALICE)
        for address in (("example.com", 9050), ("10.0.0.2", 70_000)):
            with self.assertRaises(ValueError):
                alice.connect(address)
        with self.assertRaises(MessageTooLarge):
            alice.connect(BOB, bytes(1500))
        world.run(1.0)
        self.assertEqual(alice.heard.calls, [])

    def test_who_is_asking_us_can_be_dialled_and_there_is_one_connection(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        bob.heard.decide = lambda request: None
        alice.connect(BOB).addErrback(lambda _: None)
        world.run(0.1)
        dialled = bob.connect(ALICE, peer_to_peer=True)
        bob.heard.requests[0].accept()
        world.run(1.0)
        self.assertEqual(len(bob.manager.peers), 1)
        self.assertIs(self.successResultOf(dialled), bob.manager.peers[0])

    def test_a_listener_of_ones_own_hears_instead_of_the_managers(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        world.node(CAROL)
        mine = Notebook()
        alice.connect(BOB, listener=mine)
        alice.connect(CAROL)
        world.run(0.5)
        bob.heard.connected[0].send(b"to alice")
        world.run(0.5)
        bob.heard.connected[0].disconnect(b"bye")
        world.run(0.5)
        self.assertEqual(mine.messages, [b"to alice"])
        self.assertEqual(mine.calls, ["peer_connected", "network_receive", "peer_disconnected"])
        self.assertEqual([peer.address for peer in alice.heard.connected], [CAROL])
        self.assertEqual(alice.heard.messages, [])


class RequestTests(SynchronousTestCase):
    """
    The side that is asked.
    """

    def test_a_request_shows_who_asks_and_with_what(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        alice.connect(BOB, b"\0\1binary")
        world.run(0.5)
        (request,) = bob.heard.requests
        self.assertEqual((request.address, request.data), (ALICE, b"\0\1binary"))

    def test_a_string_is_sent_as_the_reference_sends_a_key(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        alice.connect(BOB, "schlüssel")
        world.run(0.5)
        self.assertEqual(bob.heard.requests[0].data, b"\x0a\0\0\0" + "schlüssel".encode())

    def test_accepting_gives_the_peer_at_once_and_tells_later(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        accepted: list[INetPeer] = []
        bob.heard.decide = lambda request: accepted.append(request.accept())
        alice.connect(BOB)
        world.run(0.5)
        self.assertEqual(bob.heard.connected, accepted)
        self.assertEqual(bob.heard.calls[:2], ["connection_request", "peer_connected"])

    def test_who_is_accepted_can_be_written_to_at_once(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        bob.heard.decide = lambda request: request.accept().send(b"welcome")
        alice.connect(BOB)
        world.run(0.5)
        self.assertEqual(alice.heard.messages, [b"welcome"])

    def test_accepting_with_a_listener_gives_the_peer_to_it(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        mine = Notebook()
        bob.heard.decide = lambda request: request.accept(mine)
        alice.connect(BOB)
        world.run(0.5)
        alice.heard.connected[0].send(b"hello")
        world.run(0.5)
        self.assertEqual(mine.messages, [b"hello"])
        self.assertEqual(bob.heard.calls, ["connection_request"])

    def test_the_right_key_opens(self) -> None:
        for data in ("key", b"\3\0\0\0key", b"\3\0\0\0key and whatever follows"):
            world = World()
            alice, bob = world.node(ALICE), world.node(BOB)
            bob.heard.decide = lambda request: request.accept_if_key("key")
            connected = alice.connect(BOB, data)
            world.run(0.5)
            self.successResultOf(connected)

    def test_any_other_key_is_rejected_without_a_word(self) -> None:
        empty = NetDataWriter()
        empty.put_string("")
        garbage = (b"", b"key", b"\3\0\0\0ke", b"\xff\xff\xff\x7fkey", b"\xff\xff\xff\xff")
        for data in ("Key", "key ", "", empty.data(), *garbage):
            world = World()
            alice, bob = world.node(ALICE), world.node(BOB)
            bob.heard.decide = lambda request: self.assertIsNone(request.accept_if_key("key"))
            connected = alice.connect(BOB, data)
            world.run(0.5)
            info = self.failureResultOf(connected, ConnectFailed).value.info
            self.assertIs(info.reason, DisconnectReason.CONNECTION_REJECTED)
            self.assertEqual(info.data, b"")

    def test_a_request_is_decided_once_and_not_after_it_has_expired(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        bob.heard.decide = lambda request: None
        alice.connect(BOB).addErrback(lambda _: None)
        world.run(0.5)
        (request,) = bob.heard.requests
        request.reject()
        for decide in (request.accept, request.reject, lambda: request.accept_if_key("")):
            with self.assertRaises(RudpError):
                decide()
        world.run(1.0)
        alice.connect(BOB).addErrback(lambda _: None)
        world.run(13.0)
        with self.assertRaisesRegex(RudpError, "expired"):
            bob.heard.requests[1].accept()

    def test_requests_that_were_replaced_before_they_were_told_are_not_told(self) -> None:
        """
        A stranger may send many in one burst.
        """
        world = World()
        bob = world.node(BOB)
        port = world.network.host("10.0.0.66").listenUDP(1, DatagramProtocol())
        for i in range(100):
            port.write(request(638_000_000_000_000_000 + i), BOB)
        bob.heard.decide = lambda request: None
        world.run(0.5)
        self.assertEqual(len(bob.heard.requests), 1)


class PeerToPeerTests(SynchronousTestCase):
    """
    Both sides dial at once.
    """

    def test_both_deferreds_give_the_one_connection(self) -> None:
        for seed in range(5):
            world = World(seed)
            alice, bob = world.node((ALICE[0], 9000 + seed)), world.node(BOB)
            from_alice = alice.connect(BOB, peer_to_peer=True)
            from_bob = bob.connect(alice.address, peer_to_peer=True)
            world.run(1.0)
            to_bob, to_alice = self.successResultOf(from_alice), self.successResultOf(from_bob)
            to_bob.send(b"from alice")
            to_alice.send(b"from bob")
            world.run(0.5)
            self.assertEqual(alice.heard.messages, [b"from bob"])
            self.assertEqual(bob.heard.messages, [b"from alice"])
            self.assertEqual(len(alice.manager.peers), 1)
            self.assertEqual(len(bob.manager.peers), 1)
            given_up = alice.heard.reasons + bob.heard.reasons
            self.assertEqual(given_up, [DisconnectReason.PEER_TO_PEER_CONNECTION])

    def test_who_waits_and_cancels_while_the_connection_changes_hands_is_left_alone(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        attempts = [
            alice.connect(BOB, peer_to_peer=True),
            bob.connect(ALICE, peer_to_peer=True),
        ]
        for node, attempt in zip((alice, bob), attempts, strict=True):
            attempt.addErrback(lambda failure: failure.trap(CancelledError))
            node.heard.also["peer_disconnected"] = lambda peer, info, attempt=attempt: (
                attempt.cancel()
            )
        world.run(1.0)
        self.assertEqual(len(alice.heard.ended + bob.heard.ended), 1)
        self.assertEqual(len(alice.manager.peers), 1)
        self.assertEqual(len(bob.manager.peers), 1)

    def test_a_key_is_still_asked_for(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        for node in (alice, bob):
            node.heard.decide = lambda request: request.accept_if_key("secret")
        waiting = [
            alice.connect(BOB, "secret", peer_to_peer=True),
            bob.connect(ALICE, "secret", peer_to_peer=True),
        ]
        world.run(1.0)
        for one in waiting:
            self.successResultOf(one)
