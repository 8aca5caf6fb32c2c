"""
What peers have of a rendezvous that goes, and comes back or does not: real processes.
"""

from __future__ import annotations

import signal
import socket
from functools import partial

from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.processes import free_port, until
from tests.end_to_end.servers import ask
from tests.end_to_end.world import World, meet

GONE = 2.0
"""Seconds in which a rendezvous ends whose peers leave when they are told to."""


def test_peers_leave_at_once_talk_on_and_are_back_when_the_rendezvous_is(world: World) -> None:
    ports = ("--udp-port", str(free_port(socket.SOCK_DGRAM)))
    server = world.rendezvous(*ports)
    (_, alice), (_, bob) = world.chat("alice"), world.chat("bob")
    meet(alice, bob, "bob")

    assert server.terminate() < GONE
    assert server.process.returncode == -signal.SIGTERM
    assert "2 of 2 have left" in server.output()
    alice.type("are you still there?")
    bob.read("<alice> are you still there?")

    # It remembers nobody.
    world.rendezvous(*ports, name="rendezvous again")
    for name in ("alice", "bob"):
        until(partial(world.peer, name), f"{name} is back", timeout=15)
    alice.type("/disconnect bob")
    bob.read("alice left")
    meet(bob, alice, "alice")


def test_what_became_of_a_dial_is_counted(world: World) -> None:
    metrics = free_port()
    world.rendezvous(f"--metrics=tcp:{metrics}:interface=127.0.0.1")
    (_, alice), (_, bob) = world.chat("alice"), world.chat("bob")
    meet(alice, bob, "bob")

    def outcomes() -> dict[str, float]:
        scraped = ask(metrics, "/metrics")
        assert scraped is not None
        families = text_string_to_metric_families(scraped.body.decode())
        samples = [sample for family in families for sample in family.samples]
        found = {each.labels["result"]: each.value for each in samples if "result" in each.labels}
        if found:
            made = [each.value for each in samples if each.name == "p2pnet_introductions_total"]
            assert made == [1.0]
        return found

    assert until(outcomes, "the caller has told") == {"direct": 1.0}
