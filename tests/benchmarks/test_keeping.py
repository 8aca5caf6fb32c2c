"""
Numbers of the benchmarks in files.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from benchmarks.keeping import Page, joined, read, written
from benchmarks.report import Record
from benchmarks.workload import NEVER


class KeepingTests(TestCase):
    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "numbers.json")

    def test_what_was_written_is_read_again(self) -> None:
        records = [
            Record("W1", "", "p2pnet", 0, {"messages/s": 1.5, "server us": None}, 0.25),
            Record("W6", "1 MiB", "enet", 3, {"1 MiB": NEVER}),
        ]
        self.path.write_text(written(records))
        self.assertEqual(read(self.path), records)

    def test_a_file_of_something_else_is_refused_by_name(self) -> None:
        for text in ("{}", "[1]", '{"records": [{"workload": "W1"}]}', "no JSON"):
            self.path.write_text(text)
            with self.assertRaisesRegex(ValueError, "numbers.json holds no numbers of ours"):
                read(self.path)

    def test_rounds_of_different_files_are_never_the_same(self) -> None:
        """
        Numbers of one round are compared with one another.
        """
        first = [Record("W1", "", name, turn, {}) for turn in (0, 1) for name in ("a", "b")]
        second = [Record("W1", "", "a", turn, {}) for turn in (0, 1)]
        self.assertEqual([one.round for one in joined([first, second, []])], [0, 0, 1, 1, 2, 3])

    def test_tables_replace_those_that_were_in_the_page(self) -> None:
        page = "above\n<!-- measured -->\nold\n<!-- end of measured -->\nbelow\n"
        self.path.write_text(page)
        Page(self.path).fill("new")
        self.assertEqual(self.path.read_text(), page.replace("\nold\n", "\n\nnew\n\n"))
        Page(self.path).fill("newer")
        self.assertEqual(self.path.read_text(), page.replace("\nold\n", "\n\nnewer\n\n"))

    def test_a_page_without_a_place_for_tables_is_refused_before_anything_is_measured(self) -> None:
        for text in ("", "<!-- measured -->", "<!-- end of measured --><!-- measured -->"):
            self.path.write_text(text)
            with self.assertRaisesRegex(ValueError, "numbers.json lacks"):
                Page(self.path)
