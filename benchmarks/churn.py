"""
W7: 64 clients that connect, disconnect as soon as they are connected, and connect again.

The server counts how many come in three seconds, half a second after the first.

Goals: in plain Python 5 times C# with its default tick; compiled as many as C# with a tick of 1 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.saturated import report_rate
from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Goal, Match, Metric, Results, Workload


def serve(side: Side, options: Options) -> None:
    """
    Count.
    """
    count = 0

    def connected(peer: Any) -> None:
        nonlocal count
        count += 1
        if count == 1:
            report_rate(side, options, lambda: count)

    say(port=side.listen(Ears(connected)))


def dial(side: Side, options: Options) -> None:
    """
    Come and go.
    """
    for _ in range(int(options["clients"])):
        _come_and_go(side, int(options["port"]))
    side.later(options["warm"] + options["seconds"], lambda: say(cpu=time.process_time()))


def _come_and_go(side: Side, port: int) -> None:
    again: Callable[[], object]

    def disconnected(peer: Any) -> None:
        again()

    again = side.dial(port, Ears(connected=side.hang_up, disconnected=disconnected))


def play(match: Match) -> Results:
    """
    Measure.
    """
    server, _ = match.play(match.options["warm"] + match.options["seconds"] + 20)
    return {
        "cycles/s": server["rate"],
        "server us": None if server["cpu"] is None else server["cpu"] * 1e6,
    }


WORKLOAD = Workload(
    name="W7",
    module="churn",
    title="connect and disconnect, 64 at once",
    cases=[Case("", {"warm": 0.5, "seconds": 3.0, "clients": 64}, {"warm": 0.1, "seconds": 0.3})],
    metrics=[Metric("cycles/s", "/s", charted="more"), Metric("server us", "us CPU per cycle", 1)],
    goals=[
        Goal("cycles/s", "p2pnet", "at least", 5.0, "csharp-default"),
        Goal("cycles/s", "compiled", "at least", 1.0, "csharp-1ms"),
    ],
    play=play,
    takes=lambda contestant, case: contestant.name != "twisted" and not contestant.mixed,
)
