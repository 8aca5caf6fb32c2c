"""
How often, how fast and on what path two people behind NATs reach each other.

Real daemons, real chat nodes and a real relay in a laboratory of network namespaces: see
``benchmarks/README.md``.  Each run is a first meeting: both nodes are new.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from statistics import median
from typing import Any, Final, NamedTuple, get_args

from tests.natlab.lab import Lab, laboratory
from tests.natlab.namespaces import missing
from tests.natlab.person import Person
from tests.natlab.plan import Kind, Side

KINDS: Final[tuple[Kind, ...]] = ("none", "full", "addr", "port", "symmetric")
PATIENCE: Final = 30.0
"""Seconds after which a run has failed without a word."""
ONLINE_WITHIN: Final = 60.0
"""Seconds for both nodes to be registered, which packet loss delays."""

Make = Callable[[float, float], dict[str, Any]]
"""What `laboratory` needs for a case, by loss in per cent and latency in milliseconds."""


def _pair(a: Kind, b: Kind) -> Make:
    return lambda loss, latency: {
        "a": Side(a, loss=loss, latency=latency),
        "b": Side(b, loss=loss, latency=latency),
    }


def _home(kind: Kind, *, hairpin: bool) -> Make:
    return lambda loss, latency: {
        "a": Side(kind, clients=2, hairpin=hairpin, loss=loss, latency=latency)
    }


def _shared(*, hairpin: bool) -> Make:
    return lambda loss, latency: {
        "carrier": Side("port", hairpin=hairpin, loss=loss, latency=latency),
        "a": Side("port"),
        "b": Side("port"),
    }


def _blocked(other: Kind) -> Make:
    return lambda loss, latency: {
        "a": Side("port", udp_in=False, udp_out=False, loss=loss, latency=latency),
        "b": Side(other, loss=loss, latency=latency),
    }


PAIRS: Final[dict[str, Make]] = {f"{a}-{b}": _pair(a, b) for a, b in product(KINDS, KINDS)}
OTHERS: Final[dict[str, Make]] = {
    **{
        f"{a}-{b}": _pair(a, b)
        for a, b in product(get_args(Kind), get_args(Kind))
        if "firewall" in (a, b)
    },
    "home": _home("port", hairpin=False),
    "home-hairpin": _home("port", hairpin=True),
    "carrier": _shared(hairpin=False),
    "carrier-hairpin": _shared(hairpin=True),
    "blocked-port": _blocked("port"),
}
CASES: Final = PAIRS | OTHERS


class Run(NamedTuple):
    """
    One meeting.

    :ivar result: ``direct``, ``relayed``, ``no path`` or ``nothing``.
    :ivar took: seconds from ``/connect`` to the word that says how it went.
    :ivar line: seconds from ``/connect`` to the arrival of the first line.
    """

    result: str
    took: float
    line: float | None = None


def meet(alice: Person, bob: Person) -> Run:
    """
    One person dials the other, and says a word.

    :raise AssertionError: it cannot be told how it went, or the word does not arrive.
    """
    began = time.monotonic()
    alice.type(f"/connect {bob.name}")
    said = alice.read(bob.name, PATIENCE)
    while "looking for" in said:
        said = alice.read(bob.name, PATIENCE)
    took = time.monotonic() - began
    if "connected to" not in said:
        return Run("no path", took)
    alice.say(bob, "hello")
    bob.read(f"<{alice.name}> hello", PATIENCE)
    line = time.monotonic() - began
    return Run("direct" if alice.is_direct(bob) else "relayed", took, line)


def runs_of(lab: Lab, count: int) -> Iterator[Run]:
    """
    So many first meetings of the two hosts of a laboratory.
    """
    hosts = list(lab.internet.plan.clients)[:2]
    for number in range(count):
        began = time.monotonic()
        try:
            alice, bob = lab.chats(
                hosts, names=[f"alice{number}", f"bob{number}"], online_within=ONLINE_WITHIN
            )
            yield meet(alice, bob)
        except AssertionError as error:
            print(f"    {error}", file=sys.stderr)
            yield Run("nothing", time.monotonic() - began)
        lab.leave(*lab.people)


def row(name: str, loss: float, runs: Sequence[Run]) -> str:
    """
    One line of the table.
    """
    counts = [
        sum(run.result == result for run in runs)
        for result in ("direct", "relayed", "no path", "nothing")
    ]
    took = [run.took for run in runs]
    lines = [run.line for run in runs if run.line is not None]
    cells = [
        name,
        f"{loss:g} %",
        *(str(count) if count else "" for count in counts),
        f"{median(took):.3f}",
        f"{max(took):.3f}",
        f"{median(lines):.3f}" if lines else "",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD: Final = """\
| caller-callee | loss | direct | relayed | no path | nothing | median s | worst s | first line s |
|---|---|---|---|---|---|---|---|---|"""


def _ignore(report: str) -> None:
    """
    Nobody looks for a mistake here.
    """


def main() -> None:
    """
    Print the table.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="meetings for each line [20]")
    parser.add_argument(
        "--pairs",
        default="pairs",
        help="names of cases with commas; or pairs, which is all of none, full, addr, port and"
        f" symmetric; or all, with these as well: {', '.join(OTHERS)} [pairs]",
    )
    parser.add_argument("--loss", default="0", help="per cents at each router, with commas [0]")
    parser.add_argument("--latency", type=float, default=0, help="ms at each router, one way [0]")
    parser.add_argument("--no-relay", action="store_true", help="without a TURN server")
    options = parser.parse_args()
    groups = {"pairs": list(PAIRS), "all": list(CASES)}
    names = groups.get(options.pairs) or options.pairs.split(",")
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}")
    reason = missing()
    if reason is not None:
        parser.error(reason)
    print(HEAD, flush=True)
    for loss, name in product([float(loss) for loss in options.loss.split(",")], names):
        sides = CASES[name](loss, options.latency)
        with laboratory(report=_ignore, relay=not options.no_relay, **sides) as lab:
            print(row(name, loss, list(runs_of(lab, options.runs))), flush=True)


if __name__ == "__main__":
    main()
