"""
A listener made of callables.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import DisconnectReason, INetPeer
from p2pnet.net.listener import EventBasedNatPunchListener, EventBasedNetListener, NetEvent
from p2pnet.net.peer import NetPeer
from tests.net.world import ALICE, BOB, World, make_manager


class NetEventTests(SynchronousTestCase):
    """
    Adding and removing.
    """

    def setUp(self) -> None:
        self.event: NetEvent[[int]] = NetEvent()
        self.called: list[tuple[str, int]] = []

    def a(self, number: int) -> None:
        self.called.append(("a", number))

    def b(self, number: int) -> None:
        self.called.append(("b", number))

    def test_an_event_without_callables_is_silent(self) -> None:
        self.event(1)
        self.assertEqual(self.called, [])

    def test_callables_are_called_in_the_order_they_were_added(self) -> None:
        self.event += self.b
        self.event += self.a
        self.event(7)
        self.assertEqual(self.called, [("b", 7), ("a", 7)])

    def test_one_that_is_removed_is_called_no_more(self) -> None:
        self.event += self.a
        self.event += self.b
        self.event -= self.a
        self.event(1)
        self.assertEqual(self.called, [("b", 1)])

    def test_one_that_was_added_twice_is_removed_once(self) -> None:
        self.event += self.a
        self.event += self.a
        self.event -= self.a
        self.event(1)
        self.assertEqual(self.called, [("a", 1)])

    def test_one_that_was_never_added_cannot_be_removed(self) -> None:
        with self.assertRaises(ValueError):
            self.event -= self.a

    def test_clearing_removes_all(self) -> None:
        self.event += self.a
        self.event += self.b
        self.event.clear()
        self.event(1)
        self.assertEqual(self.called, [])

    def test_one_may_remove_itself_while_it_is_called(self) -> None:
        def once(number: int) -> None:
            self.called.append(("once", number))
            self.event -= once

        self.event += once
        self.event += self.a
        self.event(1)
        self.event(2)
        self.assertEqual(self.called, [("once", 1), ("a", 1), ("a", 2)])


class EventBasedNetListenerTests(SynchronousTestCase):
    """
    Each call of a listener is an event.
    """

    def test_every_event_of_a_life_is_heard(self) -> None:
        world = World()
        world.node(BOB, unconnected_messages_enabled=True)
        listener = EventBasedNetListener()
        told: list[str] = []
        for name in (
            "peer_connected",
            "peer_disconnected",
            "network_error",
            "network_receive",
            "network_receive_unconnected",
            "network_latency_update",
            "connection_request",
            "message_delivered",
        ):
            event: NetEvent[...] = getattr(listener, f"{name}_event")
            event += lambda *args, name=name: told.append(name)
        listener.connection_request_event += lambda request: request.accept()
        manager = make_manager(world.network, listener, ALICE, unconnected_messages_enabled=True)
        manager.startService()
        bob = world.node(("10.0.0.9", 9050))
        bob.connect(ALICE)
        world.run(1.5)
        (peer,) = manager.peers
        assert isinstance(peer, NetPeer)
        peer.send_with_delivery_event(b"x", 1)
        bob.heard.connected[0].send(b"y")
        bob.manager.send_unconnected(ALICE, b"z")
        manager.send_unconnected(("::1", 1), b"")
        world.run(0.2)
        peer.disconnect()
        world.run(0.2)
        self.assertEqual(
            sorted(set(told)),
            [
                "connection_request",
                "message_delivered",
                "network_error",
                "network_latency_update",
                "network_receive",
                "network_receive_unconnected",
                "peer_connected",
                "peer_disconnected",
            ],
        )

    def test_values_are_handed_on(self) -> None:
        world = World()
        alice = world.node(ALICE)
        listener = EventBasedNetListener()
        heard: list[object] = []
        listener.connection_request_event += lambda request: request.accept_if_key("key")
        listener.network_receive_event += lambda peer, data, channel, method: heard.append(
            (peer.address, data, channel, method.name)
        )

        def ended(peer: INetPeer, info: object) -> None:
            heard.append(info)

        listener.peer_disconnected_event += ended
        make_manager(world.network, listener, BOB).startService()
        alice.connect(BOB, "key")
        world.run(0.5)
        alice.heard.connected[0].send(b"hello")
        world.run(0.5)
        alice.heard.connected[0].disconnect(b"bye")
        world.run(0.5)
        message, info = heard
        self.assertEqual(message, (ALICE, b"hello", 0, "RELIABLE_ORDERED"))
        self.assertEqual(getattr(info, "reason", None), DisconnectReason.REMOTE_CONNECTION_CLOSE)
        self.assertEqual(getattr(info, "data", None), b"bye")

    def test_nobody_listening_is_no_error(self) -> None:
        world = World()
        alice = world.node(ALICE)
        make_manager(world.network, EventBasedNetListener(), BOB).startService()
        alice.connect(BOB).addErrback(lambda _: None)
        world.run(6.0)
        self.assertEqual(alice.heard.reasons, [DisconnectReason.CONNECTION_FAILED])

    def test_introductions_are_events_too(self) -> None:
        world = World()
        bob = world.node(BOB, nat_punch_enabled=True)
        alice = world.node(ALICE, nat_punch_enabled=True)
        listener = EventBasedNatPunchListener()
        told: list[object] = []
        listener.nat_introduction_request_event += lambda *args: told.append(args)
        listener.nat_introduction_success_event += lambda *args: told.append(args)
        bob.manager.nat.init(listener)
        alice.manager.nat.send_introduce_request(BOB, "token", ("192.168.0.1", 1))
        world.run(0.5)
        self.assertEqual(told, [(("192.168.0.1", 1), ALICE, "token")])
