"""
``python -m benchmarks.rendezvous``, as a user runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from benchmarks.rendezvous.measures import MEASURES, QUICK
from benchmarks.rendezvous.report import ROWS, Record, table
from tests.end_to_end.processes import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.rendezvous", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


class CommandTests(TestCase):
    def test_everything_is_measured_and_told(self) -> None:
        with TemporaryDirectory() as directory:
            file = Path(directory, "numbers.json")
            done = run("--quick", "--rounds=1", "--registry=memory:", f"--json={file}")
            self.assertEqual(done.returncode, 0, done.stderr)
            records = json.loads(file.read_text())
        self.assertEqual([record["measure"] for record in records], list(MEASURES))
        figures = {key: value for record in records for key, value in record["figures"].items()}
        told = {key for key, text, _ in ROWS if f"| {text} | " in done.stdout}
        self.assertLessEqual(set(figures), told)
        for name in ("new register", "new register_as_before", "look_up", "introduce"):
            self.assertGreater(figures[f"{name} rate"], 0)
        # A peer takes some 150 bytes, in the whole list and in the pages.
        for name in ("list MB", "pages MB"):
            self.assertGreater(figures[name], QUICK.peers * 100 / 1_000_000)
        for name in ("new register", "register", "look_up", "introduce"):
            self.assertLessEqual(figures[f"{name} p50"], figures[f"{name} p99"])
        self.assertLessEqual(figures["event half"], figures["event all"])
        self.assertRegex(done.stderr, r"1/1 peers memory:: \d+ s, others used \d+%")

    def test_what_a_server_says_that_does_not_start_is_told(self) -> None:
        done = run("--quick", "--rounds=1", "--only=listeners", "--registry=parchment:")
        self.assertEqual(done.returncode, 1)
        self.assertIn("1/1 listeners parchment:: FAILED", done.stderr)
        self.assertIn("'parchment:'", done.stderr)

    def test_a_measure_that_is_none_is_refused(self) -> None:
        done = run("--only=weather")
        self.assertEqual(done.returncode, 2)
        self.assertIn("'weather'", done.stderr)


class TableTests(TestCase):
    def test_several_rounds_are_medians_with_their_ends(self) -> None:
        records = [
            Record("peers", "memory:", {"look_up rate": rate, "pages": 2}, others, 1.0)
            for rate, others in ((100.0, 0.1), (300.4, 0.25), (200.0, 0.0))
        ]
        self.assertEqual(
            table(records, ["memory:", "redis:"]).splitlines(),
            [
                "| | `memory:` | `redis:` |",
                "|---|---|---|",
                "| look-ups, `/v1/peers/{peer_id}`, a second | 200 (100 .. 300) |  |",
                "| … how many | 2 |  |",
                "",
                "Others had at most 25% of the processors meanwhile.",
            ],
        )
