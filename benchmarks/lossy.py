"""
W6: through a link with 20 ms one way, which loses 0, 5 or 20 % of the datagrams each way.

The link is a process of its own (``link.py``).  What it loses is drawn from a seed, which is the
number of the round, the same for all contestants.  One message of 1 MiB is measured as W3; messages
of 48 bytes as W1, begun when the connection is 2 s old, over 6 s.  The protocol has 64 of them
under way at the most, so 1 600 a second is the bound for who keeps to it, and ENet does not.

Goals: 1 MiB in 0.48, 0.85 and 2.2 s; 95, 80 and 45 % of the bound; towards C#, which acknowledges
by other rules, 0.7 times of that.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from benchmarks import large, saturated
from benchmarks.contestants import ROOT
from benchmarks.processes import Child, Silent
from benchmarks.side import Options, Side
from benchmarks.workload import NEVER, Case, Goal, Link, Match, Metric, Results, Workload

_DELAY: Final = 0.02
_BOUND: Final = 64 / (2 * _DELAY)
_LOSSES: Final = (0, 5, 20)
_STARTS_WITHIN: Final = 10.0


def serve(side: Side, options: Options) -> None:
    """
    As the workload that this one is made of.
    """
    (large if options["size"] else saturated).serve(side, options)


def dial(side: Side, options: Options) -> None:
    """
    As the workload that this one is made of.
    """
    (large if options["size"] else saturated).dial(side, options)


def through(delay: float, loss: float, seed: int) -> Link:
    """
    What a match is played through.

    :param delay: seconds, one way.
    :param loss: probability for each datagram, each way.
    """
    program = str(ROOT / "benchmarks" / "link.py")

    def link(port: int) -> Child:
        arguments = [str(port), str(delay), str(loss), str(seed)]
        return Child([sys.executable, program, *arguments], os.environ, _STARTS_WITHIN)

    return link


def play(match: Match) -> Results:
    """
    Measure.
    """
    options = match.options
    link = through(_DELAY, options["loss"] / 100, match.seed)
    try:
        server, client = match.play(options["patience"], link=link)
    except Silent:
        return {"took": NEVER} if options["size"] else {"of the bound": 0.0}
    if options["size"]:
        return {"took": server["received"] - client["sent"]}
    return {"of the bound": server["rate"] / _BOUND * 100}


def _goals() -> list[Goal]:
    goals = []
    for name in ("p2pnet", "compiled"):
        for loss, seconds, share in zip(_LOSSES, (0.48, 0.85, 2.2), (95, 80, 45), strict=True):
            case = f"messages, {loss} % lost"
            goals += [
                Goal("took", name, "at most", seconds, case=f"1 MiB, {loss} % lost"),
                Goal("of the bound", name, "at least", share, case=case),
                Goal("of the bound", f"{name}>csharp", "at least", 0.7 * share, case=case),
            ]
    return goals


_LARGE: Final = {"size": float(1 << 20), "settle": 2.5, "patience": 33.0}
_SMALL: Final = {
    "size": 0.0,
    "warm": 2.0,
    "seconds": 6.0,
    "window": 2048.0,
    "every": 64.0,
    "patience": 45.0,
}

WORKLOAD = Workload(
    name="W6",
    module="lossy",
    title="20 ms one way, with losses",
    cases=[
        Case(f"1 MiB, {loss} % lost", {**_LARGE, "loss": loss}, {"size": 65536.0, "settle": 0.1})
        for loss in _LOSSES
    ]
    + [
        Case(f"messages, {loss} % lost", {**_SMALL, "loss": loss}, {"warm": 0.3, "seconds": 0.5})
        for loss in _LOSSES
    ],
    metrics=[
        Metric("took", "s", 2, charted="less"),
        Metric("of the bound", "% of 1 600/s", 1, charted="more"),
    ],
    goals=_goals(),
    play=play,
    takes=lambda contestant, case: contestant.name != "twisted",
)
