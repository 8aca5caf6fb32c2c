"""
Measures a rendezvous server under load: see ``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.processes import ChildFailed
from benchmarks.rendezvous.measures import FULL, MEASURES, QUICK, Figures, Scale
from benchmarks.rendezvous.report import Record, table
from benchmarks.rendezvous.servers import has_redis
from benchmarks.watch import Watch

BACKENDS: Final = ("memory:", "sqlite:", "redis:")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rendezvous", description=__doc__)
    parser.add_argument(
        "--registry",
        action="append",
        metavar="WHERE",
        help="memory:, sqlite:FILE or redis:...; without more, sqlite: has a file and redis: a"
        f" server of its own (again: and) [{' '.join(BACKENDS)}]",
    )
    parser.add_argument(
        "--only", action="append", choices=MEASURES, help="measure this alone (again: and)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often all take turns [3]")
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    parser.add_argument(
        "--calm",
        type=float,
        default=100.0,
        metavar="PERCENT",
        help="measure again, four times at most, while others use more of the machine [100]",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return parser


def main() -> int:
    """
    Measure, and print the table; gives 1 if something could not be measured.
    """
    parser = _parser()
    options = parser.parse_args()
    registries = options.registry or list(BACKENDS)
    if "redis:" in registries and not has_redis():
        if options.registry:
            parser.error("there is no redis-server here")
        registries.remove("redis:")
        _tell("not measured: redis:, as there is no redis-server here")
    records: list[Record] = []
    failed = False
    for number in range(options.rounds):
        for name in options.only or MEASURES:
            for registry in registries:
                turn = f"{number + 1}/{options.rounds} {name} {registry}"
                try:
                    record = _measured(
                        name, registry, QUICK if options.quick else FULL, options.calm / 100
                    )
                except ChildFailed as error:
                    failed = True
                    _tell(f"{turn}: FAILED: {error}")
                    continue
                records.append(record)
                _tell(f"{turn}: {record.took:.0f} s, others used {record.others:.0%}")
    print(table(records, registries))
    if options.json:
        options.json.write_text(json.dumps([record.as_json() for record in records], indent=1))
    return int(failed)


def _measured(name: str, registry: str, scale: Scale, calm: float) -> Record:
    """
    The calmest of some tries, or the first that is calm enough.
    """
    tries: list[Record] = []
    for _ in range(4):
        watch, began = Watch(), time.monotonic()
        figures: Figures = MEASURES[name](registry, scale)
        tries.append(Record(name, registry, figures, watch.others(), time.monotonic() - began))
        if tries[-1].others <= calm:
            break
    return min(tries, key=lambda record: record.others)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
