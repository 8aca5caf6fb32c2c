"""
W2: 48-byte messages, unreliable, 300 000 offered each second on one connection.

The client sends each millisecond what has become due.  Who loses some, or cannot send so many, is
offered less and less until nothing is lost.  What is lost, and the CPU time of each process for one
message, are those at 300 000; a message that is lost costs the server little, so compare the costs
of those who lose none.

Goals: nothing lost; 0.7 us for each message on each side in plain Python, 0.5 us compiled.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.processes import ChildFailed
from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Facts, Goal, Match, Metric, Results, Workload

_SIZE = 48
_TURN = 0.001
_BURST = 4096
"""Messages sent at once at the most, by who has fallen behind."""
_GRACE = 0.3
"""Seconds between the last message and the last look at what arrived; also before the first."""
_LESS = (250e3, 200e3, 150e3, 100e3, 75e3, 50e3, 25e3)
_ENOUGH = 0.97
"""Of the offered rate, below which the sender has not kept up."""


def serve(side: Side, options: Options) -> None:
    """
    Count.
    """
    count = 0

    def connected(peer: Any) -> None:
        side.later(options["warm"] - _GRACE, begin)

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        nonlocal count
        count += 1

    def begin() -> None:
        before, cpu = count, time.process_time()

        def end() -> None:
            say(count=count - before, cpu=time.process_time() - cpu)

        side.later(options["seconds"] + 2 * _GRACE, end)

    say(port=side.listen(Ears(connected, received)))


def dial(side: Side, options: Options) -> None:
    """
    Send at a steady rate.
    """
    message = bytes(range(_SIZE))
    rate, seconds = options["rate"], options["seconds"]

    def connected(peer: Any) -> None:
        side.reply(peer, message)
        send = side.sender(peer, False)
        count = 0
        began = cpu = 0.0

        def begin() -> None:
            nonlocal began, cpu
            began, cpu = time.monotonic(), time.process_time()
            turn()

        def turn() -> None:
            nonlocal count
            passed = time.monotonic() - began
            if passed >= seconds:
                say(count=count, rate=count / passed, cpu=time.process_time() - cpu)
                return
            due = min(int(passed * rate) - count, _BURST)
            for _ in range(due):
                send(message)
            count += due
            side.later(_TURN, turn)

        side.later(options["warm"], begin)

    side.dial(int(options["port"]), Ears(connected))


def play(match: Match) -> Results:
    """
    Measure, and look for what is not too much.
    """
    server, client = _offer(match, match.options["rate"])
    if not server["count"]:
        raise ChildFailed("nothing arrived")
    results = {
        "sent/s": client["rate"],
        "lost": (1 - server["count"] / client["count"]) * 100,
        "server us": server["cpu"] / server["count"] * 1e6,
        "client us": client["cpu"] / client["count"] * 1e6,
        "lossless/s": 0.0,
    }
    for rate in (*_LESS, 0.0):
        if server["count"] == client["count"]:
            return {**results, "lossless/s": client["rate"]}
        if rate:
            server, client = _offer(match, min(rate, match.options["rate"]))
    return results


def _offer(match: Match, rate: float) -> tuple[Facts, Facts]:
    return match.play(match.options["warm"] + match.options["seconds"] + 20, rate=rate)


WORKLOAD = Workload(
    name="W2",
    module="unreliable",
    title="48-byte messages, unreliable, 300 000 a second offered",
    cases=[
        Case(
            "",
            {"warm": 1.5, "seconds": 2.0, "rate": 300e3},
            {"warm": 0.4, "seconds": 0.3, "rate": 10e3},
        )
    ],
    metrics=[
        Metric("sent/s", "/s"),
        Metric("lost", "%", 2),
        Metric("server us", "us CPU per message", 2, charted="less"),
        Metric("client us", "us CPU per message", 2),
        Metric("lossless/s", "/s", charted="more"),
    ],
    goals=[
        goal
        for name, cost in (("p2pnet", 0.7), ("compiled", 0.5))
        for goal in (
            Goal("sent/s", name, "at least", 300e3 * _ENOUGH),
            Goal("lost", name, "at most", 0),
            Goal("server us", name, "at most", cost),
            Goal("client us", name, "at most", cost),
        )
    ],
    play=play,
    takes=lambda contestant, case: not contestant.mixed,
)
