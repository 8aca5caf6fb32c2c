"""
W3: one message of 16 MiB, reliable and ordered.

From the client's send to the server's listener, by the clock that all processes of a machine share;
begun 1.5 s after connecting, when both know what datagrams the path takes.  Memory: what the server
had resident at the most up to then (``VmHWM``, reset before), less what it had before, less the
message.

Goals: in plain Python 1.2 times C# that spins, compiled 1.6 times; at most 10 % of the message
besides the message.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.processes import ChildFailed
from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Goal, Match, Metric, Results, Workload

_HELLO = 4


def serve(side: Side, options: Options) -> None:
    """
    Wait for the message, which a short one announces.
    """
    before = 0

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        nonlocal before
        now = time.monotonic()
        if len(data) == _HELLO:
            Path("/proc/self/clear_refs").write_text("5")
            before = _status("VmRSS")
            side.reply(peer, data)
        else:
            # Before the look at the message, which takes copies of it.
            more = _status("VmHWM") - before
            say(
                received=now,
                size=len(data),
                sound=float(data[: len(data) // 2] == data[len(data) // 2 :]),
                more=more,
                cpu=time.process_time(),
            )

    say(port=side.listen(Ears(received=received)))


def dial(side: Side, options: Options) -> None:
    """
    Announce and send it.
    """
    message = bytes(range(1, 129)) * (int(options["size"]) // 128)

    def connected(peer: Any) -> None:
        side.later(options["settle"], lambda: side.reply(peer, message[:_HELLO]))

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        sent = time.monotonic()
        side.reply(peer, message)
        say(sent=sent)

    side.dial(int(options["port"]), Ears(connected, received))


def _status(name: str) -> int:
    """
    A size in bytes of what Linux tells of this process.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the system does not tell {name}")


def play(match: Match) -> Results:
    """
    Measure.
    """
    size = match.options["size"]
    server, client = match.play(match.options["patience"])
    if server["size"] != size or not server["sound"]:
        raise ChildFailed("the message was broken on its way")
    return {
        "MB/s": size / (server["received"] - client["sent"]) / 1e6,
        "memory": (server["more"] / size - 1) * 100,
    }


WORKLOAD = Workload(
    name="W3",
    module="large",
    title="one message of 16 MiB",
    cases=[
        Case(
            "",
            {"settle": 1.5, "size": 16 << 20, "patience": 120.0},
            {"settle": 0.1, "size": 1 << 20},
        )
    ],
    metrics=[
        Metric("MB/s", "MB/s", 1, charted="more"),
        Metric("memory", "% of the message, besides it", 1, charted="less"),
    ],
    goals=[
        Goal("MB/s", "p2pnet", "at least", 1.2, "csharp-manual"),
        Goal("MB/s", "compiled", "at least", 1.6, "csharp-manual"),
        Goal("memory", "p2pnet", "at most", 10),
        Goal("memory", "compiled", "at most", 10),
    ],
    play=play,
    takes=lambda contestant, case: contestant.name != "twisted",
)
