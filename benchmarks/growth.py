"""
Growth: what a message costs, by the number of connections and of messages that wait.

Connections: one after the other, of 10 or of 1 000, sends a burst of 32 messages of 48 bytes, and
the server sends each message back; who has all of its burst back leaves its turn to the next.  So
each burst is the same work, and only the number of the others differs.  The cost is the server's
CPU time for one message that it received and sent back.  The connections are 9 s old then, and what
they cost in two idle seconds before, with their pings, is not counted: that is W5.

Queue: W1, with 100 and with 100 000 messages sent and not confirmed, a confirmation for each 50;
the cost is the CPU time of both processes for one message.

Goals: at most 1.3 times, at most 1.2 times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks import saturated
from benchmarks.contestants import Contestant
from benchmarks.processes import ChildFailed
from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Facts, Goal, Match, Metric, Results, Workload

_SIZE: Final = 48
_BURST: Final = 32
_AT_ONCE: Final = 10
"""Clients that are connecting at the same time."""
_GRACE: Final = 0.1
"""Seconds from the end of the rest to the first look at the work."""


def serve(side: Side, options: Options) -> None:
    """
    Send back, or count as W1.
    """
    if options["window"]:
        saturated.serve(side, options)
        return
    count = connections = 0

    def connected(peer: Any) -> None:
        nonlocal connections
        connections += 1
        if connections == options["connections"]:
            side.later(options["warm"], rest)

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        nonlocal count
        count += 1
        side.reply(peer, data)

    def rest() -> None:
        cpu = time.process_time()

        def rested() -> None:
            idle = (time.process_time() - cpu) / options["quiet"]
            side.later(_GRACE, lambda: begin(idle))

        side.later(options["quiet"], rested)

    def begin(idle: float) -> None:
        began, before, cpu = time.monotonic(), count, time.process_time()

        def end() -> None:
            used = time.process_time() - cpu - idle * (time.monotonic() - began)
            messages = count - before
            say(cpu=used / messages if messages else None)

        side.later(options["seconds"], end)

    say(port=side.listen(Ears(connected, received)))


def dial(side: Side, options: Options) -> None:
    """
    Send bursts in turn, or as W1.
    """
    if options["window"]:
        saturated.dial(side, options)
        return
    connections, port = int(options["connections"]), int(options["port"])
    message = bytes(range(_SIZE))
    peers: list[Any] = []
    """In the order in which they connected."""
    turns = 0

    def call() -> None:
        missing = _BURST

        def connected(peer: Any) -> None:
            peers.append(peer)
            if len(peers) == connections:
                say(connections=connections)
                side.later(options["warm"] + options["quiet"], burst)
            elif len(peers) <= connections - _AT_ONCE:
                call()

        def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                missing = _BURST
                burst()

        side.dial(port, Ears(connected, received))

    def burst() -> None:
        nonlocal turns
        send = side.sender(peers[turns % connections], True)
        turns += 1
        for _ in range(_BURST):
            send(message)

    for _ in range(_AT_ONCE):
        call()


def play(match: Match) -> Results:
    """
    Measure the few and the many.
    """
    options = match.options
    within = options["warm"] + options["seconds"] + 60
    costs = []
    for name in ("few", "many"):
        size = options[name]
        if options["window"]:
            told: Sequence[Facts] = match.play(within, window=size)
        else:
            told = match.play(within, crowd=True, connections=size)[:1]
        if any(one["cpu"] is None for one in told):
            raise ChildFailed(f"nothing arrived with {size:g}")
        costs.append(sum(one["cpu"] for one in told) * 1e6)
    few, many = costs
    return {"few us": few, "many us": many, "many/few": many / few}


def _takes(contestant: Contestant, case: Case) -> bool:
    if contestant.name == "csharp-manual" and not case.options["window"]:
        # It spins, and costs the same whatever it does.
        return False
    return contestant.name != "twisted" and not contestant.mixed


WORKLOAD = Workload(
    name="growth",
    module="growth",
    title="what a message costs, with few and with many",
    cases=[
        Case(
            "10 and 1 000 connections",
            {
                "few": 10.0,
                "many": 1000.0,
                "warm": 9.0,
                "quiet": 2.0,
                "seconds": 3.0,
                "window": 0.0,
            },
            {"many": 50.0, "warm": 0.2, "quiet": 0.2, "seconds": 0.3},
        ),
        Case(
            "100 and 100 000 messages queued",
            {
                "few": 100.0,
                "many": 100_000.0,
                "warm": 1.5,
                "seconds": 2.0,
                "window": 1.0,
                "every": 50.0,
            },
            {"many": 1000.0, "warm": 0.2, "seconds": 0.3},
        ),
    ],
    metrics=[
        Metric("few us", "us CPU per message", 2),
        Metric("many us", "us CPU per message", 2),
        Metric("many/few", "many/few", 2, charted="less"),
    ],
    goals=[
        goal
        for name in ("p2pnet", "compiled")
        for goal in (
            Goal("many/few", name, "at most", 1.3, case="10 and 1 000 connections"),
            Goal("many/few", name, "at most", 1.2, case="100 and 100 000 messages queued"),
        )
    ],
    play=play,
    takes=_takes,
)
