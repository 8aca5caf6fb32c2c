"""
Who hears everything, repeats it and invents more gets into nothing, and out of nobody.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.natlab.lab import TURN_PORT, MakeLab
from tests.natlab.plan import STRANGER, Kind, Side

PATIENCE = 60.0
"""Seconds that his inventions may take him."""
GAIN = 3
"""Bytes to an address that has proven nothing for each byte from there (TRAPS T8)."""


@pytest.mark.parametrize("kind", ["none", "full", "symmetric"])
def test_a_stranger_neither_takes_part_nor_takes_over(kind: Kind, make_lab: MakeLab) -> None:
    lab = make_lab(relay=True, a=Side(kind), b=Side(kind))
    stranger, log = lab.stranger()
    alice, bob = lab.chats(["a1", "b1"], names=["alice", "bob"])
    alice.connect(bob)
    alice.tell(bob, "hello")
    stranger.terminate()
    stranger.wait(PATIENCE)
    told: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])

    # He has had the means.
    assert told["tokens"] > 0
    assert told["forged"] > 0
    spoken_to = {host for account in told["accounts"] for host in account["where"][:1]}
    assert {lab.seen(alice), lab.seen(bob)} <= spoken_to

    assert told["unasked"] == []
    answers = b"\n".join(bytes.fromhex(answer) for answer in told["answers"])
    assert not any(secret in answers for secret in (b"alice", b"bob", b"hello", b"candidate"))
    for account in told["accounts"]:
        # How much the relay answers is up to who wrote it.
        if account["where"][1] != TURN_PORT:
            assert account["received"] <= GAIN * account["sent"], account
    bob.tell(alice, "still there?")
    alice.tell(bob, "yes")
    for one, other in ((alice, bob), (bob, alice)):
        assert STRANGER not in "".join(one.asked("/who"))
        # That somebody asks from there may be noticed; nobody answers there.
        path, answered, *_ = one.why(other).splitlines()
        assert STRANGER not in path + answered
        assert one.is_direct(other) == (kind != "symmetric"), one.why(other)
        assert not any("left" in line or "lost" in line for line in one.lines), one.lines
        assert one.is_online()
