"""
W1: 48-byte messages, reliable and ordered, on one connection that is kept full.

The client keeps so many messages under way that nobody ever waits for it: the server confirms each
256 with a message of its own, and then the client sends 256 more.  That needs nothing of a
library but to send and to receive, so it is the same for all of them.  It is done with 2 048, which
is plenty, and with 100 000, as by a program that does not care how much it queues.  Both ends look
at their counters and at the CPU time of their process twice: when the connection is 1.5 s old, so
that it has found its datagram size and mono has compiled, and three seconds later.

Goals: in plain Python 4 times C# with TriggerUpdate; compiled 1.3 times ENet.
"""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Goal, Match, Metric, Results, Workload

_SIZE: Final = 48
_FEW: Final = "2 048 under way"
_MANY: Final = "100 000 under way"


def serve(side: Side, options: Options) -> None:
    """
    Count and confirm.
    """
    every = int(min(options["every"], side.capacity / 4))
    count = 0

    def connected(peer: Any) -> None:
        report_rate(side, options, lambda: count)

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        nonlocal count
        count += 1
        if not count % every:
            side.reply(peer, data[:4])

    say(port=side.listen(Ears(connected, received)))


def dial(side: Side, options: Options) -> None:
    """
    Send, and send more when some are confirmed.
    """
    every = int(min(options["every"], side.capacity / 4))
    window = int(min(options["window"], side.capacity)) // every * every
    message = bytes(range(_SIZE))
    count = 0

    def fill(peer: Any, messages: int) -> None:
        nonlocal count
        send = side.sender(peer, True)
        for _ in range(messages):
            send(message)
        count += messages

    def connected(peer: Any) -> None:
        report_rate(side, options, lambda: count)
        fill(peer, window)

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        fill(peer, every)

    side.dial(int(options["port"]), Ears(connected, received))


def report_rate(side: Side, options: Options, count: Any) -> None:
    """
    After ``warm`` seconds look for ``seconds`` how fast ``count`` grows, and at what cost; tell it.
    """

    def begin() -> None:
        began, cpu, messages = time.monotonic(), time.process_time(), count()

        def end() -> None:
            took = time.monotonic() - began
            more = count() - messages
            say(rate=more / took, cpu=(time.process_time() - cpu) / more if more else None)

        side.later(options["seconds"], end)

    side.later(options["warm"], begin)


def play(match: Match) -> Results:
    """
    Measure.
    """
    options = match.options
    server, client = match.play(options["warm"] + options["seconds"] + 20)
    return {
        "messages/s": server["rate"],
        "server us": _us(server["cpu"]),
        "client us": _us(client["cpu"]),
    }


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


WORKLOAD = Workload(
    name="W1",
    module="saturated",
    title="48-byte messages, reliable and ordered, one connection kept full",
    cases=[
        Case(
            name,
            {"warm": 1.5, "seconds": 3.0, "window": window, "every": 256.0},
            {"warm": 0.2, "seconds": 0.3},
        )
        for name, window in ((_FEW, 2048.0), (_MANY, 100_000.0))
    ],
    metrics=[
        Metric("messages/s", "/s", charted="more"),
        Metric("server us", "us CPU per message", 2),
        Metric("client us", "us CPU per message", 2),
    ],
    goals=[
        goal
        for case in (_FEW, _MANY)
        for goal in (
            Goal("messages/s", "p2pnet", "at least", 4.0, "csharp-trigger", case),
            Goal("messages/s", "compiled", "at least", 1.3, "enet", case),
        )
    ],
    play=play,
    # One without flow control can have only few under way.
    takes=lambda contestant, case: contestant.name != "twisted" or case.name == _FEW,
)
