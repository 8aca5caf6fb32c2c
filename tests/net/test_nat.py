"""
Two peers are introduced by a third and connect (BEHAVIOUR §16, PITFALLS C7).
"""

from __future__ import annotations

import contextlib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address, INetPeer, NatAddressType, RudpError
from p2pnet.wire.nat import NatIntroduceResponse
from tests.net.world import ALICE, BOB, CAROL, Node, World

FACILITATOR: Address = ("203.0.113.9", 9050)
HOME_A: Address = ("192.168.1.10", 9050)
HOME_B: Address = ("192.168.7.20", 9050)
TOKEN = "a token of 128 random bits"


class NatTests(SynchronousTestCase):
    """
    Alice and Bob sit behind what lets in only who was written to before.
    """

    def setUp(self) -> None:
        self.world = World()
        self.facilitator, self.alice, self.bob = (
            self.punching(address) for address in (FACILITATOR, ALICE, BOB)
        )
        self.opened: set[tuple[Address, Address]] = set()
        self.world.network.drop_if(self.stopped)
        self.waiting: dict[str, tuple[Address, Address]] = {}
        self.facilitator.heard.also["nat_introduction_request"] = self.pair

    def punching(self, address: Address) -> Node:
        node = self.world.node(address, nat_punch_enabled=True)
        node.manager.nat.init(node.heard)
        return node

    def stopped(self, source: Address, target: Address, data: bytes) -> bool:
        self.opened.add((source, target))
        return target != FACILITATOR and (target, source) not in self.opened

    def pair(self, internal: Address, external: Address, token: str) -> None:
        """
        Introduce the second who names a token to the first.
        """
        first = self.waiting.setdefault(token, (internal, external))
        if first[1] != external:
            self.facilitator.manager.nat.introduce(*first, internal, external, token)

    def ask(self, node: Node, home: Address, token: str = TOKEN) -> None:
        node.manager.nat.send_introduce_request(FACILITATOR, token, home)

    def test_both_hear_where_the_other_is(self) -> None:
        self.ask(self.alice, HOME_A)
        self.world.run(0.5)
        self.ask(self.bob, HOME_B)
        self.world.run(2.0)
        self.assertEqual(
            self.facilitator.heard.asked, [(HOME_A, ALICE, TOKEN), (HOME_B, BOB, TOKEN)]
        )
        self.assertEqual(self.alice.heard.punched, [(BOB, NatAddressType.EXTERNAL, TOKEN)])
        self.assertEqual(self.bob.heard.punched, [(ALICE, NatAddressType.EXTERNAL, TOKEN)])

    def test_the_way_that_is_told_can_be_dialled_at_once(self) -> None:
        self.alice.heard.also["nat_introduction_success"] = self.dial(self.alice)
        self.bob.heard.decide = lambda request: request.accept_if_key(TOKEN)
        self.ask(self.alice, HOME_A)
        self.ask(self.bob, HOME_B)
        self.world.run(3.0)
        self.talk()

    def test_both_may_dial(self) -> None:
        """
        Who has been dialled already when the way is told need only accept.
        """
        for node in (self.alice, self.bob):
            node.heard.also["nat_introduction_success"] = self.dial(node)
            node.heard.decide = lambda request: request.accept_if_key(TOKEN)
        self.ask(self.alice, HOME_A)
        self.ask(self.bob, HOME_B)
        self.world.run(3.0)
        self.talk()

    def dial(self, node: Node) -> Any:
        def dial(target: Address, kind: NatAddressType, token: str) -> None:
            with contextlib.suppress(RudpError):
                node.connect(target, token, peer_to_peer=True)

        return dial

    def talk(self) -> None:
        for node, other in ((self.alice, self.bob), (self.bob, self.alice)):
            (peer,) = node.manager.peers
            self.assertEqual(peer.address, other.address)
            peer.send(b"through")
        self.world.run(0.5)
        self.assertEqual(self.alice.heard.messages, [b"through"])
        self.assertEqual(self.bob.heard.messages, [b"through"])

    def test_a_slow_facilitator_and_lost_punches_only_take_longer(self) -> None:
        self.world.network.link(FACILITATOR[0], BOB[0], latency=0.6)
        self.world.network.link(ALICE[0], BOB[0], loss=0.5)
        self.ask(self.alice, HOME_A)
        self.ask(self.bob, HOME_B)
        self.world.run(8.0)
        self.assertEqual([target for target, *_ in self.alice.heard.punched], [BOB])
        self.assertEqual([target for target, *_ in self.bob.heard.punched], [ALICE])

    def test_an_application_that_is_told_the_token_otherwise_need_not_ask(self) -> None:
        """
        As the chat does: the daemon introduces over a connection of its own.
        """
        for node in (self.alice, self.bob):
            self.opened.add((node.address, FACILITATOR))
            node.manager.nat.trust(FACILITATOR)
            node.manager.nat.expect(TOKEN)
        self.facilitator.manager.nat.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN)
        self.world.run(2.0)
        self.assertEqual([target for target, *_ in self.alice.heard.punched], [BOB])
        self.assertEqual([target for target, *_ in self.bob.heard.punched], [ALICE])

    def test_an_introduction_that_nobody_waits_for_moves_nobody(self) -> None:
        self.opened.add((ALICE, FACILITATOR))
        self.alice.manager.nat.trust(FACILITATOR)
        self.facilitator.manager.nat.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN)
        self.world.run(2.0)
        self.assertFalse(
            {target for source, target in self.opened if source == ALICE} - {FACILITATOR}
        )

    def test_a_stranger_introduces_nobody(self) -> None:
        carol = self.punching(CAROL)
        self.opened.add((ALICE, CAROL))
        self.alice.manager.nat.trust(FACILITATOR)
        self.alice.manager.nat.expect(TOKEN)
        carol.manager.nat.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN)
        self.world.run(2.0)
        self.assertNotIn((ALICE, BOB), self.opened)

    def test_trust_can_be_taken_back_and_a_token_forgotten(self) -> None:
        nat = self.alice.manager.nat
        self.opened.add((ALICE, FACILITATOR))
        nat.trust(FACILITATOR)
        nat.expect(TOKEN)
        nat.distrust(FACILITATOR)
        self.facilitator.manager.nat.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN)
        self.world.run(2.0)
        nat.trust(FACILITATOR)
        nat.forget(TOKEN)
        self.facilitator.manager.nat.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN)
        self.world.run(2.0)
        self.assertNotIn((ALICE, BOB), self.opened)

    def test_a_connection_between_them_and_the_facilitator_is_not_disturbed(self) -> None:
        for node in (self.alice, self.bob):
            node.connect(FACILITATOR)
        self.world.run(0.5)
        self.ask(self.alice, HOME_A)
        self.ask(self.bob, HOME_B)
        self.world.run(40.0)
        self.assertEqual(len(self.alice.heard.punched), 1)
        peers: list[INetPeer] = [*self.facilitator.manager.peers]
        self.assertCountEqual([peer.address for peer in peers], [ALICE, BOB])

    def test_nobody_is_told_when_nobody_listens(self) -> None:
        dave = self.world.node(("10.0.0.4", 9050), nat_punch_enabled=True)
        dave.manager.nat.expect(TOKEN)
        self.ask(self.alice, HOME_A)
        self.alice.manager.nat.send_introduce_request(dave.address, TOKEN, HOME_A)
        self.world.run(2.0)
        self.assertEqual(dave.heard.calls, [])

    def test_a_token_that_no_peer_could_read_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "257 characters"):
            self.ask(self.alice, HOME_A, "x" * 257)

    def test_the_introduction_is_what_the_reference_expects(self) -> None:
        """
        The example of WIRE §8.
        """
        self.facilitator.manager.nat.introduce(
            ("10.0.0.2", 2222), ALICE, ("10.0.0.2", 2222), ("127.0.0.1", 21121), "tokX"
        )
        self.opened.add((ALICE, FACILITATOR))
        self.world.run(0.1)
        self.assertEqual(
            self.world.datagrams(FACILITATOR, ALICE),
            [NatIntroduceResponse(("10.0.0.2", 2222), ("127.0.0.1", 21121), "tokX").encode()],
        )
        self.assertEqual(
            self.world.datagrams(FACILITATOR, ALICE)[0],
            bytes.fromhex(
                "10 44dbcbfbc9229161 08000000 31302e302e302e32 ae080000"
                "09000000 3132372e302e302e31 81520000 04000000 746f6b58"
            ),
        )
