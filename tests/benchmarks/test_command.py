"""
``python -m benchmarks``, as a user runs it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase
from xml.etree.ElementTree import fromstring

from benchmarks.__main__ import WORKLOADS
from benchmarks.contestants import ROOT, gather


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


class CommandTests(TestCase):
    def test_all_workloads_are_played_and_reported(self) -> None:
        names = ["p2pnet", "twisted"]
        contestants, _ = gather(names, pure=sys.executable)
        expected = {
            (workload.name, case.name, contestant.name)
            for workload in WORKLOADS
            for case in workload.cases
            for contestant in contestants
            if workload.takes(contestant, case)
        }
        with TemporaryDirectory() as directory:
            written, drawn = Path(directory, "numbers.json"), Path(directory, "chart.svg")
            done = run(
                *("--quick", "--rounds", "1", "--peers", ",".join(names)),
                *("--json", str(written), "--chart", str(drawn)),
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            records = json.loads(written.read_text())["records"]
            played = {(one["workload"], one["case"], one["contestant"]) for one in records}
            self.assertEqual(played, expected, done.stderr)
            texts = [
                element.text for element in fromstring(drawn.read_text()).iter() if element.text
            ]
        for workload in WORKLOADS:
            self.assertIn(f"### {workload.name}: {workload.title}", done.stdout)
        self.assertEqual(texts.count("twisted"), 7)
        self.assertRegex(done.stdout, r"\* p2pnet: Python 3\S+ with reliable\.\w+\n")
        # Over loopback nothing is lost, also not in a hurry.
        (unreliable,) = (
            one for one in records if one["workload"] == "W2" and one["contestant"] == "p2pnet"
        )
        self.assertEqual(unreliable["results"]["lost"], 0)
        for name in (workload.name for workload in WORKLOADS):
            self.assertIn(f"1/1 {name} ", done.stderr)

    def test_a_workload_that_is_none_is_refused(self) -> None:
        done = run("--only", "W99")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no workload is called W99; there are W1,", done.stderr)

    def test_who_interrupts_it_is_shown_what_was_measured(self) -> None:
        with TemporaryDirectory() as directory:
            written = Path(directory, "numbers.json")
            command = [sys.executable, "-m", "benchmarks", "--quick", "--rounds", "1000"]
            options = ["--only", "W4", "--peers", "twisted", "--json", str(written)]
            with subprocess.Popen(
                [*command, *options],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as running:
                assert running.stderr is not None
                # When the second round begins to tell, the first is over.
                next(line for line in running.stderr if line.startswith("2/1000 W4"))
                running.send_signal(signal.SIGINT)
                shown, told = running.communicate(timeout=60)
            self.assertEqual(running.returncode, 1, told)
            self.assertIn("interrupted", told)
            self.assertIn("| twisted |", shown)
            self.assertGreaterEqual(len(json.loads(written.read_text())["records"]), 1)

    def test_what_fails_is_told_and_the_rest_goes_on(self) -> None:
        with TemporaryDirectory() as nowhere:
            done = run(
                *("--quick", "--rounds", "1", "--only", "W4", "--peers", "p2pnet,twisted"),
                *("--source", nowhere),
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn("W4 one core p2pnet: FAILED", done.stderr)
        self.assertIn("p2pnet, p50 (one core): at most 1 x enet: not measured", done.stdout)
