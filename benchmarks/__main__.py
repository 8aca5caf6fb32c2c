"""
Measures the engine beside others: see ``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import (
    churn,
    crowd,
    growth,
    large,
    lossy,
    ping_pong,
    records,
    saturated,
    stripes,
    unreliable,
)
from benchmarks.chart import chart
from benchmarks.contestants import ROOT, build_csharp, gather
from benchmarks.keeping import Page, joined, read, written
from benchmarks.playing import play, tell, turns
from benchmarks.processes import ChildFailed
from benchmarks.report import Record, markdown
from benchmarks.workload import Workload

WORKLOADS: Final[Sequence[Workload]] = [
    module.WORKLOAD
    for module in (
        saturated,
        unreliable,
        large,
        ping_pong,
        crowd,
        lossy,
        churn,
        records,
        growth,
        stripes,
    )
]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", metavar="W1", help="this workload (again: and)")
    parser.add_argument("--rounds", type=int, default=5, help="how often all take turns [5]")
    parser.add_argument(
        "--peers",
        default="p2pnet,compiled,enet,twisted,csharp",
        help="contestants, with commas; also uvloop, mixed (with C#), all [%(default)s]",
    )
    parser.add_argument(
        "--pure", default=sys.executable, metavar="PYTHON", help="for the plain engine [this one]"
    )
    parser.add_argument(
        "--source", type=Path, default=ROOT, metavar="DIR", help="of the plain engine [here]"
    )
    parser.add_argument("--compiled", metavar="PYTHON", help="that has the compiled engine")
    parser.add_argument(
        "--litenetlib", type=Path, metavar="DLL", help="LiteNetLib 0.9.5.2, for C# on mono"
    )
    parser.add_argument(
        "--calm",
        type=float,
        default=100.0,
        metavar="PERCENT",
        help="play again what was measured while others used more of the machine [%(default)g]",
    )
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    parser.add_argument(
        "--add",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="show what an earlier --json wrote as well (again: and); --rounds 0: nothing else",
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="put the tables there, between the two marks"
    )
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw it there, as SVG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return parser


def main() -> int:
    """
    Measure, and print the tables; gives 1 if something could not be measured.
    """
    parser = _parser()
    options = parser.parse_args()
    known = {workload.name: workload for workload in WORKLOADS}
    unknown = [name for name in options.only or () if name not in known]
    if unknown:
        parser.error(f"no workload is called {', '.join(unknown)}; there are {', '.join(known)}")
    workloads = [known[name] for name in options.only or known]
    with tempfile.TemporaryDirectory() as directory:
        try:
            earlier = [read(path) for path in options.add]
            page = options.page and Page(options.page)
            csharp = options.litenetlib and build_csharp(options.litenetlib, Path(directory))
            contestants, notes = gather(
                options.peers.split(","),
                pure=options.pure,
                source=options.source.resolve(),
                compiled=options.compiled,
                csharp=csharp,
            )
        except (ChildFailed, OSError, ValueError) as error:
            parser.error(str(error))
        for note in notes if options.rounds else ():
            tell(f"not measured: {note}")
        played: list[Record | None] = []
        try:
            for turn in turns(workloads, contestants, options.rounds):
                played.append(
                    play(turn, rounds=options.rounds, quick=options.quick, calm=options.calm / 100)
                )
        except KeyboardInterrupt:
            tell("interrupted; what was measured until now follows")
            played.append(None)
    results = joined([*earlier, [record for record in played if record is not None]])
    tables = markdown(results, workloads)
    print(tables)
    if page:
        page.fill(tables)
    if options.chart:
        options.chart.write_text(chart(results, workloads))
    if options.json:
        options.json.write_text(written(results))
    return int(None in played)


if __name__ == "__main__":
    sys.exit(main())
