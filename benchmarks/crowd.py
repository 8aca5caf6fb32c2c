"""
W5: many connections in one server, first idle, then told something 20 times a second.

The clients are in one other process.  When the last has connected, 10 s pass until all have found
their datagram size; then the server's CPU time of 10 quiet seconds, in which each connection is
pinged ten times from each side, and its resident memory, less that before the first connection.
Then, with 1 000 connections, 100 messages of 48 bytes, reliable and ordered, to all of them, 50 ms
apart: from before the server's ``send_to_all`` to each client's listener, by the clock that all
processes of a machine share.

What is measured is the server.  The clients are those of our engine, compiled if that is there,
also of a C# server: a C# manager has two threads, and a thousand of them would be something else.

Goals: below 10 % of a core at 1 000 and 50 % at 5 000, below 12 kB each; 99 % of the broadcasts
heard within C#'s time with its default tick, and all of them sent when they are due.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from benchmarks.contestants import Contestant
from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Goal, Match, Metric, Results, Workload

_STAMP: Final = struct.Struct("<d40x")
"""48 bytes."""
_PERIOD: Final = 0.05
_AT_ONCE: Final = 32
"""Clients that are connecting at the same time."""
_ENET_PEERS: Final = 4095
"""More an ENet host cannot have."""


def serve(side: Side, options: Options) -> None:
    """
    Be quiet, then loud.
    """
    clients, turns = int(options["clients"]), int(options["turns"])
    connections = 0
    memory = _resident()
    facts: dict[str, float] = {}

    def connected(peer: Any) -> None:
        nonlocal connections
        connections += 1
        if connections == clients:
            side.later(options["settle"], begin)

    def disconnected(peer: Any) -> None:
        nonlocal connections
        connections -= 1

    def begin() -> None:
        cpu = time.process_time()
        facts["memory"] = _resident() - memory
        side.later(options["quiet"], lambda: end(cpu))

    def end(cpu: float) -> None:
        facts["cpu"] = time.process_time() - cpu
        facts["connections"] = connections
        began = time.monotonic()
        cpu = time.process_time()
        worst = 0.0

        def turn(number: int) -> None:
            nonlocal worst
            now = time.monotonic()
            if number == turns:
                say(**facts, late=worst, loud=(time.process_time() - cpu) / (now - began))
                return
            worst = max(worst, now - began - number * _PERIOD)
            side.broadcast(_STAMP.pack(now))
            wait = began + (number + 1) * _PERIOD - time.monotonic()
            side.later(max(0.0, wait), lambda: turn(number + 1))

        turn(0)

    say(port=side.listen(Ears(connected=connected, disconnected=disconnected)))


def dial(side: Side, options: Options) -> None:
    """
    Connect all, and listen.
    """
    clients, turns, port = int(options["clients"]), int(options["turns"]), int(options["port"])
    dialed = connections = 0
    times: list[float] = []

    def connected(peer: Any) -> None:
        nonlocal connections
        connections += 1
        if connections == clients:
            all_day = options["settle"] + options["quiet"] + turns * _PERIOD + options["grace"]
            side.later(all_day, end)
        elif dialed < clients:
            call()

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        times.append(time.monotonic() - _STAMP.unpack(data)[0])

    def call() -> None:
        nonlocal dialed
        dialed += 1
        side.dial(port, Ears(connected, received))

    def end() -> None:
        if len(times) > 1:
            say(count=len(times), p50=median(times), p99=quantiles(times, n=100)[98])
        else:
            say(count=len(times), p50=None, p99=None)

    for _ in range(min(_AT_ONCE, clients)):
        call()


def _resident() -> int:
    """
    Bytes of memory that this process has resident.
    """
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def play(match: Match) -> Results:
    """
    Measure.
    """
    options = match.options
    server, client = match.play(options["patience"], crowd=True)
    results: dict[str, float | None] = {
        "connections": server["connections"],
        "idle": server["cpu"] / options["quiet"] * 100,
        "kB each": server["memory"] / options["clients"] / 1000,
    }
    if options["turns"]:
        results |= {
            "heard": client["count"] / (options["turns"] * options["clients"]) * 100,
            "p50": _ms(client["p50"]),
            "p99": _ms(client["p99"]),
            "latest turn": server["late"] * 1000,
            "broadcasting": server["loud"] * 100,
        }
    return results


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _takes(contestant: Contestant, case: Case) -> bool:
    if contestant.name == "enet":
        return case.options["clients"] <= _ENET_PEERS
    return contestant.name != "twisted" and not contestant.mixed


def _goals() -> list[Goal]:
    goals = []
    for name in ("p2pnet", "compiled"):
        goals += [
            Goal("idle", name, "at most", 10, case="1 000"),
            Goal("idle", name, "at most", 50, case="5 000"),
            Goal("kB each", name, "at most", 12, case="1 000"),
            Goal("kB each", name, "at most", 12, case="5 000"),
            Goal("p99", name, "at most", 1.0, "csharp-default", case="1 000"),
            Goal("heard", name, "at least", 100, case="1 000"),
            Goal("latest turn", name, "at most", 50, case="1 000"),
        ]
    return goals


_FULL: Final = {"settle": 10.0, "quiet": 10.0, "grace": 2.0, "patience": 180.0}
_QUICK: Final = {"clients": 20.0, "settle": 0.2, "quiet": 0.2, "grace": 0.3}

WORKLOAD = Workload(
    name="W5",
    module="crowd",
    title="many connections: idle, and told something 20 times a second",
    cases=[
        Case("1 000", {**_FULL, "clients": 1000.0, "turns": 100.0}, {**_QUICK, "turns": 5.0}),
        Case("5 000", {**_FULL, "clients": 5000.0, "turns": 0.0}, _QUICK),
    ],
    metrics=[
        Metric("connections", "connections"),
        Metric("idle", "% of a core", 1, charted="less"),
        Metric("kB each", "kB each", 1, charted="less"),
        Metric("p50", "ms", 1),
        Metric("p99", "ms", 1, charted="less"),
        Metric("heard", "%", 1),
        Metric("latest turn", "ms", 1),
        Metric("broadcasting", "% of a core", 1),
    ],
    goals=_goals(),
    play=play,
    takes=_takes,
)
