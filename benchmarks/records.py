"""
W8: records of an int, a float, a ushort, a long, a bool and a string of 12, written and read.

In one process, without a network: field by field with NetDataWriter and NetDataReader, and as a
class with NetSerializer.  Each is repeated in batches for 1.5 s, after 0.15 s without measuring.

Goals: compiled as many as C#, in plain Python a fifth.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.side import Options, Side, say
from benchmarks.workload import Case, Goal, Match, Metric, Results, Workload

_BATCH = 500


def alone(side: Side, options: Options) -> None:
    """
    Write and read.
    """
    # Not there for those who are not us.
    from benchmarks.sides.records import by_hand, by_serializer

    seconds = options["seconds"]
    say(by_hand=_rate(by_hand, seconds), by_class=_rate(by_serializer, seconds))


def _rate(write_and_read: Callable[[int], None], seconds: float) -> float:
    warm_until = time.perf_counter() + seconds / 10
    while time.perf_counter() < warm_until:
        write_and_read(_BATCH)
    began = now = time.perf_counter()
    rounds = 0
    while now < began + seconds:
        write_and_read(_BATCH)
        rounds += _BATCH
        now = time.perf_counter()
    return rounds / (now - began)


def play(match: Match) -> Results:
    """
    Measure.
    """
    told = match.play_alone(match.options["seconds"] * 4 + 20)
    return {"by hand": told["by_hand"], "NetSerializer": told["by_class"]}


WORKLOAD = Workload(
    name="W8",
    module="records",
    title="records of six fields, written and read",
    cases=[Case("", {"seconds": 1.5}, {"seconds": 0.1})],
    metrics=[
        Metric("by hand", "records/s", charted="more"),
        Metric("NetSerializer", "records/s", charted="more"),
    ],
    goals=[
        Goal(metric, name, "at least", share, "csharp-default")
        for name, share in (("p2pnet", 0.2), ("compiled", 1.0))
        for metric in ("by hand", "NetSerializer")
    ],
    play=play,
    takes=lambda contestant, case: contestant.name in ("p2pnet", "compiled", "csharp-default"),
)
