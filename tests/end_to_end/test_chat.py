"""
Two people, a rendezvous, real processes: what the README promises.
"""

from __future__ import annotations

import signal
import socket

import pytest

from tests.end_to_end.processes import free_port, get_json, until
from tests.end_to_end.world import World


def test_two_people_meet_talk_part_meet_again_and_one_vanishes(world: World) -> None:
    world.rendezvous()
    _, alice = world.chat("alice")
    bob_daemon, bob = world.chat("bob")

    alice.type("/connect bob")
    # It takes a tenth of a second; the machine may be busy.
    alice.read("connected to bob", timeout=3)
    bob.read("connected to alice")

    alice.type("/msg bob Grüße, 世界 🌍")
    assert bob.read("<alice>").endswith(" <alice> Grüße, 世界 🌍")
    bob.type("/focus alice")
    bob.type("a bare line goes to whom I look at")
    assert alice.read("<bob>").endswith(" <bob> a bare line goes to whom I look at")

    long = "".join(chr(0x61 + i % 26) for i in range(10_000))
    alice.type(f"/msg bob {long}")
    assert bob.read("<alice>", timeout=10).endswith(f" <alice> {long}")
    bob.type(f"/msg alice {long[::-1]}")
    assert alice.read("<bob>", timeout=10).endswith(f" <bob> {long[::-1]}")

    alice.type("/disconnect bob")
    bob.read("alice left")
    bob.type("/connect alice")
    bob.read("connected to alice")
    alice.read("connected to bob")
    alice.type("/msg bob again")
    bob.read("<alice> again")

    bob_daemon.kill()
    alice.read("lost bob", timeout=15)
    alice.type("/who")
    alice.read("you are alice")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_stopped_says_goodbye_and_unregisters_within_3_s(
    world: World, by: signal.Signals
) -> None:
    world.rendezvous()
    _, alice = world.chat("alice")
    bob_daemon, bob = world.chat("bob")
    alice.type("/connect bob")
    alice.read("connected to bob")
    bob.read("connected to alice")

    assert bob_daemon.terminate(by) < 3
    alice.read("bob left", timeout=2)
    names = {peer["username"] for peer in get_json(f"{world.url}/peers")["peers"]}
    assert names == {"alice"}
    # Twisted dies of the signal that stopped it, once everything is done.
    assert bob_daemon.process.returncode in (0, -by)


def test_connect_on_the_command_line_waits_for_who_is_not_there_yet(world: World) -> None:
    world.rendezvous()
    _, alice = world.chat("alice", "--connect", "bob")
    alice.read("looking for bob")
    _, bob = world.chat("bob")
    bob.read("connected to alice", timeout=60)
    alice.read("connected to bob")


def test_failures_are_told_in_words(world: World) -> None:
    world.rendezvous()
    _, alice = world.chat("alice")
    alice.type("/connect nobody")
    alice.read("cannot reach nobody")
    alice.type("/conect bob")
    alice.read("/connect")
    alice.type("\x00\xff garbage \x1b[31m")
    alice.type("/who")
    alice.read("you are alice")
    alice.type("/quit")
    until(alice.closed, "the console is closed")


def test_the_whole_node_is_a_rendezvous_and_a_chat_peer_in_one(world: World) -> None:
    http, console_port = free_port(), free_port()
    whole = world.start(
        "whole",
        "p2pnet",
        "--http",
        f"tcp:{http}:interface=127.0.0.1",
        "--udp-port",
        str(free_port(socket.SOCK_DGRAM)),
        "--udp-interface",
        "127.0.0.1",
        "--observer-port",
        "0",
        "--port-mapping",
        "off",
        "--username",
        "node",
        "--console",
        f"tcp:{console_port}:interface=127.0.0.1",
    )
    world.url = f"http://127.0.0.1:{http}"
    node = world.console(console_port, line_end=b"\r\n")
    node.read("you are node")
    until(lambda: world.peer("node"), "the node is online at itself")
    _, bob = world.chat("bob")
    bob.type("/connect node")
    bob.read("connected to node")
    node.read("connected to bob")
    node.type("/msg bob welcome")
    bob.read("<node> welcome")
    assert whole.terminate() < 3
    bob.read("node left", timeout=6)


def test_a_taken_port_ends_the_daemon_with_a_word_about_it(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        daemon = world.start(
            "unlucky",
            "p2pnet-signaling",
            "--http",
            f"tcp:{port}:interface=127.0.0.1",
            "--udp-port",
            "0",
            "--observer-port",
            "0",
        )
        assert daemon.process.wait(20) != 0
    assert f"tcp:{port}" in daemon.output()
