"""
Cables that lose packets: people meet all the same.
"""

from __future__ import annotations

import pytest

from tests.natlab.lab import MakeLab
from tests.natlab.plan import Side

MEETINGS = 10
WITHIN = 10.0
"""Seconds, the time-out of a dial; ``benchmarks/reach.py`` tells how many take no longer than 3."""


@pytest.mark.parametrize("loss", [10, 20])
def test_people_meet_and_no_line_is_lost_however_many_packets_are(
    loss: int, make_lab: MakeLab
) -> None:
    """
    A packet crosses two such cables: of a hundred 81 arrive, or 64.
    """
    lossy = Side("port", loss=loss)
    lab = make_lab(relay=True, **dict.fromkeys("abcdef", lossy))
    callers = lab.chats(["a1", "b1", "c1"])
    callees = lab.chats(["d1", "e1", "f1"])
    pairs = [(caller, callee) for caller in callers for callee in callees]
    for caller, callee in [*pairs, (callers[0], callers[1])]:
        caller.connect(callee, WITHIN)
        caller.tell(callee, "hello")
        callee.tell(caller, "good to see you")
    for caller, callee in pairs:
        lines = [f"line {number}" for number in range(20)]
        for line in lines:
            caller.say(callee, line)
        callee.read(f"<{caller.name}> {lines[-1]}")
        assert callee.texts(caller.name) == ["hello", *lines]
