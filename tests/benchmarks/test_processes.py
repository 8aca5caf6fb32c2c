"""
How the benchmarks start processes, and know which engine is in them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase, skipUnless

import psutil

from benchmarks.contestants import ROOT, PythonProgram, gather
from benchmarks.processes import Child, ChildFailed, Silent, on_one_core

_PATIENCE = 20.0


def child(program: str) -> Child:
    command = [sys.executable, "-c", f"print('{{}}', flush=True); {program}"]
    return Child(command, os.environ, _PATIENCE)


class ChildTests(TestCase):
    def test_facts_come_line_by_line(self) -> None:
        with child('print(\'{"a": 1}\\n{"b": null}\')') as one:
            self.assertEqual(one.hear(_PATIENCE), {"a": 1})
            self.assertEqual(one.hear(_PATIENCE), {"b": None})

    @skipUnless(sys.platform == "linux", "no way is known to keep a process on one core")
    def test_who_is_started_on_one_core_stays_there_and_others_do_not(self) -> None:
        ours = os.sched_getaffinity(0)
        look = "import os; print(len(os.sched_getaffinity(0)))"
        with on_one_core(), child(look) as one:
            self.assertEqual(one.hear(_PATIENCE), 1)
        with child(look) as one:
            self.assertEqual(one.hear(_PATIENCE), len(ours))
        self.assertEqual(os.sched_getaffinity(0), ours)

    def test_who_says_nothing_is_silent(self) -> None:
        with child("import time; time.sleep(60)") as one, self.assertRaises(Silent):
            one.hear(0.01)

    def test_who_ends_has_failed_and_its_complaint_is_told(self) -> None:
        with child("raise SystemExit('no more ink')") as one:
            with self.assertRaises(ChildFailed) as caught:
                one.hear(_PATIENCE)
            self.assertIn("it ended with 1", str(caught.exception))
            self.assertIn("no more ink", str(caught.exception))

    def test_what_is_no_fact_is_shown(self) -> None:
        with child("print('Oops')") as one, self.assertRaisesRegex(ChildFailed, "b'Oops' came"):
            one.hear(_PATIENCE)

    def test_it_ends_when_we_are_killed(self) -> None:
        """
        A spinning process that nobody waits for would spoil all that is measured later.
        """
        parent = (
            "import os, sys; from benchmarks.processes import Child\n"
            "one = Child([sys.executable, '-c', 'print(\"{}\", flush=True)\\nwhile True: pass'],"
            " os.environ, 20)\n"
            "print(one.pid, flush=True)\n"
            "os.kill(os.getpid(), 9)"
        )
        told = subprocess.run(
            [sys.executable, "-c", parent], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertIsGone(int(told.stdout))

    def assertIsGone(self, pid: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                    return
            except psutil.NoSuchProcess:
                return
            time.sleep(0.01)
        self.fail(f"process {pid} lives on")


class ContestantTests(TestCase):
    def test_the_engine_of_this_checkout_is_the_one_that_is_measured(self) -> None:
        program = PythonProgram(sys.executable, "engine", ROOT)
        with program.start("ping_pong", "serve", {"warm": 9, "seconds": 9}) as one:
            self.assertTrue(Path(one.hello["engine"]).is_relative_to(ROOT))
            self.assertGreater(one.hear(_PATIENCE)["port"], 0)

    def test_a_plain_engine_is_not_taken_for_a_compiled_one(self) -> None:
        with TemporaryDirectory() as directory:
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "venv",
                    "--system-site-packages",
                    "--without-pip",
                    directory,
                ],
                check=True,
            )
            site = Path(directory, "lib", f"python3.{sys.version_info.minor}", "site-packages")
            paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
            Path(site, "checkout.pth").write_text("\n".join(paths))
            program = PythonProgram(str(Path(directory, "bin", "python")), "engine")
            with self.assertRaisesRegex(ChildFailed, "not a compiled one"):
                program.start("ping_pong", "serve", {"warm": 9, "seconds": 9})

    def test_an_engine_from_elsewhere_is_not_taken_for_that_of_a_checkout(self) -> None:
        with TemporaryDirectory() as directory, self.assertRaises(ChildFailed):
            PythonProgram(sys.executable, "engine", Path(directory)).start("ping_pong", "serve", {})

    def test_who_cannot_be_measured_here_is_told_and_left_out(self) -> None:
        there, notes = gather(["p2pnet", "compiled", "csharp"], pure=sys.executable)
        self.assertEqual([one.name for one in there], ["p2pnet"])
        self.assertEqual([note.partition(":")[0] for note in notes], ["compiled", "csharp"])

    def test_every_server_has_the_same_crowd(self) -> None:
        names = ["p2pnet", "compiled", "csharp"]
        there, _ = gather(names, pure=sys.executable, compiled="fast", csharp="none.exe")
        self.assertEqual({one.crowd for one in there}, {PythonProgram("fast", "engine")})

    def test_a_name_that_nobody_has_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "no contestant is called quake"):
            gather(["quake"], pure=sys.executable)

    def test_a_group_is_all_of_its_members(self) -> None:
        there, _ = gather(["csharp", "mixed"], pure=sys.executable, csharp="none.exe")
        self.assertEqual(
            [one.name for one in there],
            [
                "csharp-default",
                "csharp-1ms",
                "csharp-trigger",
                "csharp-manual",
                "p2pnet>csharp",
                "csharp>p2pnet",
            ],
        )
