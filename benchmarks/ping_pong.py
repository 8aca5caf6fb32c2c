"""
W4: a question of 32 bytes and its answer, one after the other on one connection.

From the client's send, through the server's listener that answers as it is called, to the client's
listener, which asks again.  Nothing is measured in the first quarter of a second.

One of the two always waits for the other: they can use one core only.  If they share one, the time
is that of their work.  If they do not, each of them sleeps while the other works, and the time is
also that of waking a core, which on a rented machine can be longer than the work.

Goals: half of the answers as soon as ENet's; 99 % of them within 4 times the time of that half.
"""

from __future__ import annotations

import time
from statistics import median, quantiles
from typing import Any

from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Goal, Match, Metric, Results, Workload

_SIZE = 32
_LOST_AFTER = 0.1
"""Seconds after which who does not repeat is asked again."""


def serve(side: Side, options: Options) -> None:
    """
    Answer.
    """

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        side.reply(peer, data)

    say(port=side.listen(Ears(received=received)))
    side.later(options["warm"] + options["seconds"], say)


def dial(side: Side, options: Options) -> None:
    """
    Ask, and ask again when answered.
    """
    message = bytes(range(_SIZE))
    now = time.perf_counter
    times: list[float] = []
    asked = 0.0
    cpu = 0.0

    def connected(peer: Any) -> None:
        nonlocal asked
        asked = now()
        side.reply(peer, message)
        side.later(options["warm"], begin)

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        nonlocal asked
        times.append(now() - asked)
        asked = now()
        side.reply(peer, message)

    def begin() -> None:
        nonlocal cpu
        times.clear()
        cpu = time.process_time()
        side.later(options["seconds"], end)

    def end() -> None:
        used = time.process_time() - cpu
        say(p50=median(times), p99=quantiles(times, n=100)[98], count=len(times), cpu=used)

    side.dial(int(options["port"]), Ears(connected, received))


def play(match: Match) -> Results:
    """
    Measure.
    """
    _, client = match.play(match.options["warm"] + match.options["seconds"] + 20)
    return {
        "p50": client["p50"] * 1e6,
        "p99": client["p99"] * 1e6,
        "p99/p50": client["p99"] / client["p50"],
        "client us": client["cpu"] / client["count"] * 1e6,
    }


WORKLOAD = Workload(
    name="W4",
    module="ping_pong",
    title="32-byte question and answer",
    cases=[
        Case("one core", {"warm": 0.25, "seconds": 3.0, "one core": 1}, {"seconds": 0.3}),
        Case("any core", {"warm": 0.25, "seconds": 3.0}, {"seconds": 0.3}),
    ],
    metrics=[
        Metric("p50", "us", charted="less"),
        Metric("p99", "us", charted="less"),
        Metric("p99/p50", "p99/p50", 1),
        Metric("client us", "us CPU per answer", 1),
    ],
    goals=[
        goal
        for case in ("one core", "any core")
        for goal in (
            Goal("p50", "p2pnet", "at most", 1.0, "enet", case=case),
            Goal("p50", "compiled", "at most", 1.0, "enet", case=case),
            Goal("p99/p50", "p2pnet", "at most", 4.0, case=case),
            Goal("p99/p50", "compiled", "at most", 4.0, case=case),
        )
    ],
    play=play,
    # Two that never sleep cannot share a core.
    takes=lambda contestant, case: (
        case.name == "any core" or not (contestant.mixed or contestant.name == "csharp-manual")
    ),
)
