"""
Rooms, keys and who is away, through real processes.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tests.end_to_end.processes import Console, get_json, until
from tests.end_to_end.world import World


def online(console: Console) -> bool:
    console.type("/stats")
    return "online" in console.read("; rendezvous ")


def peers(console: Console) -> set[str]:
    """
    What /peers shows of each; there are several.
    """
    console.type("/peers")
    count = int(console.read(" people registered").split()[1])
    shown = [console.read("***   ") for _ in range(count)]
    return {re.sub(r"id [0-9a-f-]{36}, [0-9.:]+", "-", line) for line in shown}


def test_who_is_in_a_room_sees_and_reaches_its_members_and_nobody_else_does(
    world: World, tmp_path: Path
) -> None:
    world.rendezvous("--listing=rooms")
    password = tmp_path / "password"
    password.write_text("the tea is served at five\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("the tea is served at six\n")
    tea = ("--room=Tea", f"--room-password-file={password}")
    _, alice = world.node("alice", *tea)
    until(lambda: online(alice), "alice opens the room")
    _, bob = world.node("bob", *tea)
    _, carol = world.node("carol")
    mallory_daemon, mallory = world.node("mallory", "--room=tea", f"--room-password-file={wrong}")
    for console in (bob, carol):
        until(partial(online, console), "bob and carol are there")

    assert peers(alice) == {"***   alice (-, you)", "***   bob (-)"}
    alice.type("/connect bob")
    alice.read("connected to bob")
    bob.read("connected to alice")
    carol.type("/peers")
    carol.read("cannot list: this server lists no peers to you")
    carol.type("/connect alice")
    carol.read('cannot reach alice: nobody is called "alice"')
    until(lambda: "refuses us" in mallory_daemon.output(), "mallory stays outside")
    assert not online(mallory)
    assert get_json(f"{world.url}/peers") == {"peers": [], "count": 0}


def test_who_has_a_key_is_the_same_after_a_crash_and_a_restart(
    world: World, tmp_path: Path
) -> None:
    world.rendezvous()
    key = tmp_path / "alice.pem"
    daemon, _ = world.chat("alice", f"--key-file={key}")
    before = world.peer("alice")
    assert before is not None
    assert key.stat().st_mode & 0o777 == 0o600
    daemon.kill()
    # Her registration still runs, under a secret that is lost.
    _, again = world.node("alice", f"--key-file={key}", run=" again")
    until(lambda: online(again), "alice is back")
    _, bob = world.chat("bob")
    bob.type(f"/connect {before['peer_id']}")
    bob.read("connected to alice")


def test_who_is_away_is_shown_so_to_others(world: World) -> None:
    world.rendezvous()
    (_, alice), (_, bob) = world.chat("alice"), world.chat("bob")
    alice.type("/away")
    alice.read("you are away")
    until(lambda: "***   alice (-, away)" in peers(bob), "bob sees it")
    alice.type("/back")
    alice.read("you are back")
    until(lambda: peers(bob) == {"***   alice (-)", "***   bob (-, you)"}, "bob sees it")
