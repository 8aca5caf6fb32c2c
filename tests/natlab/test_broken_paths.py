"""
What happens to a conversation when what carries it changes or breaks.
"""

from __future__ import annotations

import time

import pytest

from tests.end_to_end.processes import until
from tests.natlab.lab import MakeLab
from tests.natlab.person import Person
from tests.natlab.plan import Kind, Side

BACK_WITHIN = 45.0
"""Seconds: a break is noticed after 5 s of silence; then there are the rendezvous, and a dial."""
DIRECT_WITHIN = 20.0
"""Seconds: while a relay is in use a direct path is tried every 10 s at least."""
BREAK = 8.0
"""Seconds: longer than it takes to notice a break, so that people talk into it."""
INTERVAL = 0.1


class Talk:
    """
    Two people say numbered lines, each as often as they are asked to.
    """

    def __init__(self, alice: Person, bob: Person) -> None:
        self._people = alice, bob
        self._said: dict[str, list[str]] = {alice.name: [], bob.name: []}

    def go_on(self, seconds: float) -> None:
        """
        Talk for that long, both at once, whether or not it arrives.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for speaker, listener in (self._people, self._people[::-1]):
                said = self._said[speaker.name]
                line = f"line {len(said)}"
                said.append(line)
                speaker.say(listener, line)
            time.sleep(INTERVAL)

    def end(self) -> None:
        """
        See that every line has arrived, once, and in order.
        """
        for speaker, listener in (self._people, self._people[::-1]):
            said = self._said[speaker.name]
            listener.read(f"<{speaker.name}> {said[-1]}", BACK_WITHIN)
            assert listener.texts(speaker.name) == said


@pytest.mark.parametrize("kind", ["full", "port"])
@pytest.mark.parametrize("new_address", [False, True])
def test_a_router_that_restarts_costs_no_line(
    kind: Kind, new_address: bool, make_lab: MakeLab
) -> None:
    lab = make_lab(relay=True, a=Side(kind), b=Side("port"))
    alice, bob = lab.chats(["a1", "b1"])
    alice.connect(bob)
    talk = Talk(alice, bob)
    talk.go_on(1)
    lab.internet.reset("ra", new_address=new_address)
    talk.go_on(BREAK)
    talk.end()
    talk.go_on(1)
    talk.end()


def test_both_routers_restart_at_once(make_lab: MakeLab) -> None:
    lab = make_lab(relay=True, a=Side("port"), b=Side("port"))
    alice, bob = lab.chats(["a1", "b1"])
    alice.connect(bob)
    talk = Talk(alice, bob)
    talk.go_on(1)
    for router in ("ra", "rb"):
        lab.internet.reset(router, new_address=True)
    talk.go_on(BREAK)
    talk.end()


def test_a_relayed_conversation_outlives_the_router_of_one_side(make_lab: MakeLab) -> None:
    lab = make_lab(relay=True, a=Side("symmetric"), b=Side("symmetric"))
    alice, bob = lab.chats(["a1", "b1"])
    alice.connect(bob)
    assert alice.is_relayed(bob), alice.why(bob)
    talk = Talk(alice, bob)
    talk.go_on(1)
    lab.internet.reset("ra", new_address=True)
    talk.go_on(BREAK)
    talk.end()


def test_a_relayed_conversation_moves_to_the_direct_path_that_opens_and_loses_no_line(
    make_lab: MakeLab,
) -> None:
    lab = make_lab(relay=True, a=Side("firewall"), b=Side("symmetric"))
    alice, bob = lab.chats(["a1", "b1"])
    alice.connect(bob)
    assert alice.is_relayed(bob), alice.why(bob)
    talk = Talk(alice, bob)
    talk.go_on(1)
    # Somebody opens the firewall; all that passes it goes on passing.
    lab.internet.change("ra", Side("none"))

    def both_direct() -> bool:
        talk.go_on(2 * INTERVAL)
        return alice.is_direct(bob) and bob.is_direct(alice)

    until(both_direct, "the conversation is direct", DIRECT_WITHIN)
    talk.go_on(1)
    talk.end()
