"""
A NetManager as its user knows it: peers, listeners, turns, start and stop.
"""

from __future__ import annotations

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2pnet.interfaces import (
    ConnectFailed,
    ConnectionState,
    DeliveryMethod,
    DisconnectReason,
    IConnectionRequest,
    IDeliveryEventListener,
    INatPunchListener,
    INatPunchModule,
    INetEventListener,
    INetManager,
    INetPeer,
    MessageTooLarge,
    NotConnected,
)
from p2pnet.net.listener import EventBasedNatPunchListener, EventBasedNetListener
from p2pnet.net.peer import NetPeer
from p2pnet.wire.packets import Ack, Channeled, Packet
from tests.net.world import ALICE, BOB, CAROL, ORDERED, Notebook, World, make_manager
from tests.rudp.cable import packets_in

DAVE = ("10.0.0.4", 9050)


@implementer(INetEventListener)
class Plain:
    """
    A listener without the optional facets.
    """

    def __init__(self, notebook: Notebook) -> None:
        self.peer_connected = notebook.peer_connected
        self.peer_disconnected = notebook.peer_disconnected
        self.network_error = notebook.network_error
        self.network_receive = notebook.network_receive
        self.network_receive_unconnected = notebook.network_receive_unconnected
        self.network_latency_update = notebook.network_latency_update
        self.connection_request = notebook.connection_request


class InterfaceTests(SynchronousTestCase):
    """
    What is handed out does what `p2pnet.interfaces` promises.
    """

    def test_everything_handed_out_keeps_its_promise(self) -> None:
        world = World()
        alice, bob = world.pair()
        verifyObject(INetManager, alice.manager)
        verifyObject(IService, alice.manager)
        verifyObject(INatPunchModule, alice.manager.nat)
        verifyObject(INetPeer, alice.heard.connected[0])
        verifyObject(IConnectionRequest, bob.heard.requests[0])

    def test_so_do_the_listeners_made_of_callables(self) -> None:
        listener = EventBasedNetListener()
        verifyObject(INetEventListener, listener)
        verifyObject(IDeliveryEventListener, listener)
        verifyObject(INatPunchListener, EventBasedNatPunchListener())

    def test_so_does_the_notebook_of_these_tests(self) -> None:
        for interface in (INetEventListener, IDeliveryEventListener, INatPunchListener):
            verifyObject(interface, Notebook())


class PeerTests(SynchronousTestCase):
    """
    What a peer shows and does.
    """

    def test_a_peer_shows_where_it_is_and_how_far_away(self) -> None:
        world = World(latency=0.03)
        alice, bob = world.pair(mtu_override=1024)
        world.run(2.0)
        peer = alice.heard.connected[0]
        self.assertEqual(peer.address, BOB)
        self.assertIs(peer.state, ConnectionState.CONNECTED)
        self.assertAlmostEqual(peer.round_trip_time, 0.06)
        self.assertEqual(peer.mtu, 1024)
        self.assertIsNone(peer.tag)
        self.assertEqual(peer.unacknowledged, 0)
        self.assertEqual(repr(peer), "<NetPeer 0 10.0.0.2:9050 CONNECTED>")
        self.assertEqual(bob.heard.connected[0].address, ALICE)

    def test_a_peer_remembers_what_the_application_hangs_on_it(self) -> None:
        world = World()
        alice, bob = world.pair()
        bob.heard.connected[0].tag = "alice"
        alice.heard.connected[0].send(b"hello")
        world.run(0.5)
        self.assertEqual([peer.tag for peer, *_ in bob.heard.received], ["alice"])

    def test_every_method_and_channel_arrives_as_such(self) -> None:
        world = World()
        alice, bob = world.pair(channels=3)
        peer = alice.heard.connected[0]
        peer.send(b"default")
        for method in DeliveryMethod:
            peer.send(b"x", method, 2)
        world.run(0.5)
        heard = [(data, channel, method) for _, data, channel, method in bob.heard.received]
        expected = [
            (b"x", 0 if method is DeliveryMethod.UNRELIABLE else 2, method)
            for method in DeliveryMethod
        ]
        self.assertCountEqual(heard, [(b"default", 0, ORDERED), *expected])

    def test_what_is_on_its_way_is_counted(self) -> None:
        world = World()
        alice, _ = world.pair()
        peer = alice.heard.connected[0]
        for _ in range(100):
            peer.send(b"x")
        self.assertEqual(peer.unacknowledged, 100)
        world.run(1.0)
        self.assertEqual(peer.unacknowledged, 0)

    def test_delivery_is_told_with_what_the_sender_gave(self) -> None:
        world = World()
        alice, bob = world.pair()
        peer = alice.heard.connected[0]
        assert isinstance(peer, NetPeer)
        receipt = object()
        peer.send_with_delivery_event(b"x", receipt)
        peer.send_with_delivery_event(bytes(5000), "large", DeliveryMethod.RELIABLE_UNORDERED)
        peer.send(b"without")
        world.run(0.019)
        self.assertEqual(alice.heard.delivered, [])
        world.run(0.5)
        self.assertCountEqual(alice.heard.delivered, [receipt, "large"])
        self.assertEqual(len(bob.heard.messages), 3)

    def test_delivery_that_nobody_can_know_of_is_not_promised(self) -> None:
        world = World()
        alice, _ = world.pair()
        peer = alice.heard.connected[0]
        assert isinstance(peer, NetPeer)
        for method in set(DeliveryMethod) - {ORDERED, DeliveryMethod.RELIABLE_UNORDERED}:
            with self.assertRaisesRegex(ValueError, method.name):
                peer.send_with_delivery_event(b"x", "receipt", method)
        with self.assertRaisesRegex(ValueError, "None"):
            peer.send_with_delivery_event(b"x", None)

    def test_what_cannot_be_sent_is_refused(self) -> None:
        world = World()
        alice, _ = world.pair()
        peer = alice.heard.connected[0]
        with self.assertRaises(MessageTooLarge):
            peer.send(bytes(2000), DeliveryMethod.UNRELIABLE)
        with self.assertRaisesRegex(ValueError, "channel"):
            peer.send(b"x", channel=1)
        peer.disconnect()
        with self.assertRaises(NotConnected):
            peer.send(b"x")

    def test_a_forced_end_is_silent(self) -> None:
        world = World()
        alice, bob = world.pair()
        peer = alice.heard.connected[0]
        assert isinstance(peer, NetPeer)
        peer.disconnect_force()
        world.run(1.0)
        self.assertEqual(alice.heard.reasons, [DisconnectReason.DISCONNECT_PEER_CALLED])
        self.assertEqual(bob.heard.ended, [])

    def test_the_last_words_arrive(self) -> None:
        world = World()
        alice, bob = world.pair()
        alice.heard.connected[0].disconnect(b"good night")
        world.run(0.5)
        ((peer, info),) = bob.heard.ended
        self.assertEqual((peer.address, info.data), (ALICE, b"good night"))
        self.assertEqual(bob.manager.peers, [])

    def test_latency_is_told_every_second(self) -> None:
        world = World(latency=0.1)
        alice, _ = world.pair()
        world.run(5.0)
        self.assertEqual(len(alice.heard.latencies), 5)
        for latency in alice.heard.latencies:
            self.assertAlmostEqual(latency, 0.1)

    def test_numbers_of_the_departed_are_given_out_again_the_oldest_first(self) -> None:
        world = World()
        bob = world.node(BOB)
        callers = [world.node((f"10.0.1.{i}", 9050)) for i in range(6)]

        def call(i: int) -> int:
            callers[i].connect(BOB)
            world.run(0.3)
            return bob.heard.connected[-1].id

        self.assertEqual([call(i) for i in range(4)], [0, 1, 2, 3])
        for i in (2, 0):
            callers[i].heard.connected[0].disconnect()
            world.run(0.3)
        self.assertEqual([call(4), call(5), call(0), call(2)], [2, 0, 4, 5])
        self.assertEqual([peer.id for peer in bob.manager.peers], [1, 3, 2, 0, 4, 5])

    def test_peers_are_those_connected_oldest_first(self) -> None:
        world = World()
        bob = world.node(BOB)
        self.assertEqual(bob.manager.peers, [])
        for address in (ALICE, CAROL):
            world.node(address).connect(BOB)
            world.run(0.3)
        bob.connect(DAVE).addErrback(lambda _: None)
        world.run(0.1)
        self.assertEqual([peer.address for peer in bob.manager.peers], [ALICE, CAROL])
        bob.manager.peers[0].disconnect()
        self.assertEqual([peer.address for peer in bob.manager.peers], [CAROL])


class TurnTests(SynchronousTestCase):
    """
    What happens in one turn of the reactor.
    """

    def resultOf(self, world: World, waiting: Deferred[INetPeer]) -> INetPeer:
        world.run(0.5)
        return self.successResultOf(waiting)

    def kinds(self, data: bytes) -> list[type[Packet]]:
        return [type(packet) for packet in packets_in(data)]

    def test_what_is_sent_in_one_turn_leaves_in_one_datagram(self) -> None:
        world = World()
        alice, bob = world.pair()
        before = len(world.datagrams(ALICE, BOB))
        for i in range(10):
            alice.heard.connected[0].send(b"%d" % i)
        world.run(0.1)
        (datagram,) = world.datagrams(ALICE, BOB)[before:]
        self.assertEqual(self.kinds(datagram), [Channeled] * 10)
        self.assertEqual(bob.heard.messages, [b"%d" % i for i in range(10)])

    def test_the_answers_of_one_turn_leave_with_the_ack_in_one_datagram(self) -> None:
        world = World()
        alice, bob = world.pair()
        bob.heard.also["network_receive"] = lambda peer, data: peer.send(b"re: " + data)
        before = len(world.datagrams(BOB, ALICE))
        for i in range(3):
            alice.heard.connected[0].send(b"%d" % i)
        world.run(0.05)
        (answers,) = world.datagrams(BOB, ALICE)[before:]
        self.assertEqual(self.kinds(answers), [Ack, Channeled, Channeled, Channeled])
        self.assertEqual(alice.heard.messages, [b"re: 0", b"re: 1", b"re: 2"])

    def test_many_datagrams_of_one_moment_are_acknowledged_together(self) -> None:
        world = World()
        alice, _ = world.pair()
        before = len(world.datagrams(BOB, ALICE))
        for _ in range(14):
            alice.heard.connected[0].send(bytes(1000))
        world.run(0.05)
        self.assertEqual(len(world.datagrams(BOB, ALICE)) - before, 1)

    def test_a_listener_may_do_everything_while_it_is_told(self) -> None:
        world = World()
        alice, bob = world.pair()
        world.node(CAROL)

        def busy(peer: INetPeer, data: bytes) -> None:
            peer.send(b"answer")
            bob.connect(CAROL)
            if data == b"the end":
                peer.disconnect(b"as you wish")

        bob.heard.also["network_receive"] = busy
        alice.heard.connected[0].send(b"hello")
        world.run(0.5)
        alice.heard.connected[0].send(b"the end")
        world.run(0.5)
        self.assertEqual(alice.heard.messages, [b"answer"])
        self.assertEqual(alice.heard.ended[0][1].data, b"as you wish")
        self.assertEqual([peer.address for peer in bob.manager.peers], [CAROL])

    def test_nothing_comes_from_a_peer_after_its_end_was_told(self) -> None:
        world = World()
        alice, bob = world.pair()
        bob.heard.also["network_receive"] = lambda peer, data: peer.disconnect()
        for _ in range(5):
            alice.heard.connected[0].send(bytes(900))
            world.run(0.001)
        world.run(1.0)
        told = bob.heard.calls
        self.assertNotIn("network_receive", told[told.index("peer_disconnected") :])

    def test_a_conversation_started_in_peer_connected_works(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        for node in (alice, bob):
            node.heard.also["peer_connected"] = lambda peer: peer.send(b"first words")
        alice.connect(BOB)
        world.run(0.5)
        self.assertEqual(alice.heard.messages, [b"first words"])
        self.assertEqual(bob.heard.messages, [b"first words"])

    def test_a_listener_that_raises_is_logged_and_the_rest_goes_on(self) -> None:
        world = World()
        alice, bob = world.pair()

        def broken(*args: object) -> None:
            raise ZeroDivisionError("in a listener")

        before = len(bob.heard.calls)
        for name in ("network_receive", "network_latency_update", "peer_disconnected"):
            bob.heard.also[name] = broken
        for _ in range(3):
            alice.heard.connected[0].send(b"x")
        world.run(2.0)
        self.assertEqual(bob.heard.messages, [b"x"] * 3)
        self.assertEqual(alice.heard.connected[0].unacknowledged, 0)
        alice.heard.connected[0].disconnect()
        world.run(1.0)
        self.assertEqual(bob.manager.peers, [])
        errors = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(len(errors), len(bob.heard.calls) - before)

    def test_a_listener_that_raises_when_asked_leaves_the_request_undecided(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)

        def broken(request: IConnectionRequest) -> None:
            raise ZeroDivisionError("in a listener")

        bob.heard.decide = broken
        connected = alice.connect(BOB)
        world.run(0.5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        bob.heard.requests[0].accept()
        world.run(0.5)
        self.successResultOf(connected)

    def test_a_listener_without_the_delivery_facet_is_spared(self) -> None:
        world = World()
        alice, bob = world.node(ALICE), world.node(BOB)
        notebook = Notebook()
        plain = Plain(notebook)
        self.assertIs(IDeliveryEventListener(plain, None), None)
        peer = self.resultOf(world, alice.connect(BOB, listener=plain))
        assert isinstance(peer, NetPeer)
        peer.send_with_delivery_event(b"x", "receipt")
        world.run(0.5)
        self.assertEqual(bob.heard.messages, [b"x"])
        self.assertEqual(notebook.delivered, [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_an_idle_manager_waits_for_one_thing_at_a_time(self) -> None:
        world = World()
        alice, bob = world.pair()
        world.run(30.0)
        for node in (alice, bob):
            self.assertLessEqual(len(node.host.getDelayedCalls()), 1)

    def test_messages_without_connection(self) -> None:
        world = World()
        alice = world.node(ALICE)
        bob = world.node(BOB, unconnected_messages_enabled=True)
        alice.manager.send_unconnected(BOB, b"psst")
        world.run(0.1)
        self.assertEqual([(a, d) for a, d, _ in bob.heard.unconnected], [(ALICE, b"psst")])
        with self.assertRaises(ValueError):
            alice.manager.send_unconnected(("example.com", 1), b"psst")

    def test_datagrams_are_counted(self) -> None:
        world = World()
        alice, _ = world.pair()
        counted = alice.manager.statistics
        self.assertEqual(counted.packets_sent, len(world.datagrams(ALICE, BOB)))
        self.assertEqual(counted.packets_received, len(world.datagrams(BOB, ALICE)))
        peer = alice.heard.connected[0]
        assert isinstance(peer, NetPeer)
        self.assertEqual(peer.statistics.bytes_sent, counted.bytes_sent)

    def test_an_address_that_the_socket_cannot_reach_is_told_and_the_rest_goes_on(self) -> None:
        world = World()
        alice, bob = world.pair()
        failed = alice.connect(("2001:db8::1", 9050))
        alice.heard.connected[0].send(b"x")
        world.run(6.0)
        self.assertEqual(bob.heard.messages, [b"x"])
        self.assertEqual({address for address, _ in alice.heard.errors}, {("2001:db8::1", 9050)})
        self.assertIsInstance(alice.heard.errors[0][1], OSError)
        self.failureResultOf(failed, ConnectFailed)


class ServiceTests(SynchronousTestCase):
    """
    Starting and stopping.
    """

    def test_a_started_manager_knows_its_port(self) -> None:
        world = World()
        manager = make_manager(world.network, Notebook(), ALICE)
        self.assertEqual(manager.local_port, 0)
        manager.startService()
        self.assertEqual(manager.local_port, 9050)
        free = make_manager(world.network, Notebook(), (ALICE[0], 0))
        free.startService()
        self.assertGreater(free.local_port, 1023)

    def test_a_port_that_is_taken_is_an_error(self) -> None:
        world = World()
        world.node(ALICE)
        second = make_manager(world.network, Notebook(), ALICE)
        with self.assertRaisesRegex(CannotListenError, "9050"):
            second.startService()
        self.assertFalse(second.running)
        self.assertEqual(second.local_port, 0)

    def test_it_is_a_service_among_services(self) -> None:
        world = World()
        parent = MultiService()
        manager = make_manager(world.network, Notebook(), ALICE)
        manager.setServiceParent(parent)
        parent.startService()
        self.assertEqual(manager.local_port, 9050)
        stopped = parent.stopService()
        world.run(1.0)
        self.successResultOf(stopped)
        self.assertEqual(manager.local_port, 0)

    def test_stopping_says_goodbye_and_is_done_when_all_have_confirmed(self) -> None:
        world = World()
        alice, bob = world.pair()
        carol = world.node(CAROL)
        carol.connect(BOB)
        world.run(0.5)
        stopped = bob.manager.stopService()
        self.assertNoResult(stopped)
        world.run(0.1)
        self.successResultOf(stopped)
        for node in (alice, carol):
            self.assertEqual(node.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])
        self.assertEqual(bob.heard.reasons, [DisconnectReason.DISCONNECT_PEER_CALLED] * 2)

    def test_stopping_waits_half_a_second_at_most_for_who_does_not_confirm(self) -> None:
        world = World()
        _, bob = world.pair()
        world.network.partition(ALICE[0], BOB[0])
        stopped = bob.manager.stopService()
        world.run(0.45)
        self.assertNoResult(stopped)
        world.run(0.1)
        self.successResultOf(stopped)

    def test_a_lost_goodbye_is_repeated_while_stopping(self) -> None:
        world = World()
        alice, bob = world.pair()
        world.network.partition(ALICE[0], BOB[0])
        stopped = bob.manager.stopService()
        world.run(0.2)
        world.network.heal(ALICE[0], BOB[0])
        world.run(0.4)
        self.successResultOf(stopped)
        self.assertEqual(alice.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])

    def test_stopping_fails_attempts_that_are_under_way(self) -> None:
        world = World()
        alice = world.node(ALICE)
        connected = alice.connect(BOB)
        world.run(0.1)
        stopped = alice.manager.stopService()
        failure = self.failureResultOf(connected, ConnectFailed)
        self.assertIs(failure.value.info.reason, DisconnectReason.DISCONNECT_PEER_CALLED)
        world.run(1.0)
        self.successResultOf(stopped)

    def test_a_stopped_manager_leaves_nothing_behind(self) -> None:
        world = World()
        alice, bob = world.pair()
        stopped = [node.manager.stopService() for node in (alice, bob)]
        world.run(1.0)
        for one in stopped:
            self.successResultOf(one)
        self.assertEqual([*alice.host.getDelayedCalls(), *bob.host.getDelayedCalls()], [])
        before = len(world.log)
        world.run(60.0)
        self.assertEqual(len(world.log), before)

    def test_stopping_twice_is_stopping_once(self) -> None:
        world = World()
        alice, _ = world.pair()
        stopped = [alice.manager.stopService(), alice.manager.stopService()]
        world.run(1.0)
        for one in stopped:
            self.successResultOf(one)

    def test_stopping_from_inside_of_a_listener_works(self) -> None:
        world = World()
        alice, bob = world.pair()
        bob.heard.also["network_receive"] = lambda peer, data: bob.manager.stopService()
        alice.heard.connected[0].send(b"stop")
        alice.heard.connected[0].send(b"stop")
        world.run(1.0)
        self.assertEqual(alice.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])
        self.assertEqual(bob.heard.reasons, [DisconnectReason.DISCONNECT_PEER_CALLED])
        self.assertEqual(bob.host.getDelayedCalls(), [])

    def test_a_stopped_manager_can_be_started_again_on_its_port(self) -> None:
        world = World()
        alice, bob = world.pair()
        bob.manager.stopService().addCallback(lambda _: bob.manager.startService())
        world.run(1.0)
        self.assertEqual(bob.manager.local_port, 9050)
        again = alice.connect(BOB)
        world.run(1.0)
        self.successResultOf(again).send(b"hello again")
        world.run(0.5)
        self.assertEqual(bob.heard.messages, [b"hello again"])

    def test_what_is_done_to_a_stopped_managers_peer_goes_nowhere(self) -> None:
        world = World()
        alice, _ = world.pair()
        peer = alice.heard.connected[0]
        alice.manager.stopService()
        world.run(1.0)
        peer.disconnect(b"too late")
        with self.assertRaises(NotConnected):
            peer.send(b"too late")
        world.run(1.0)
        self.assertEqual(alice.host.getDelayedCalls(), [])
