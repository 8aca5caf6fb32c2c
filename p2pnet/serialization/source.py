"""
The source text of the functions that write and read one class, while it is put together.

A value is a head of fixed size, a tail of any size, or both: an ``int`` is a head, a nested object
a tail, and a string is the head that counts its bytes and the tail that is them.  Heads that follow
one another are packed, unpacked and checked at once.
"""

from __future__ import annotations

import linecache
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct, calcsize
from typing import Any, NamedTuple

from p2pnet.serialization.reader import ReadError

_INDENT = "    "


class Kind(ABC):
    """
    How the values of one type are laid out.

    ``name``: the type, as C# calls it.
    ``least``: the fewest bytes that a value takes.
    ``head``: the ``struct`` format of the head, "" if there is none.
    ``tail``: there is one.
    """

    name: str
    least: int
    head: str = ""
    tail: bool = True

    def __repr__(self) -> str:
        return self.name

    @abstractmethod
    def write(self, source: Source, value: str) -> tuple[str, str]:
        """
        Add what prepares the value of the expression ``value`` for writing.

        :return: an expression to pack for the head and one of the bytes of the tail; "" for what
            there is not.
        """

    @abstractmethod
    def read(self, source: Source, value: Value, start: str) -> None:
        """
        Add what makes a value of the unpacked head, if there is one, and of the tail.

        :param start: the expression of the position where the value begins.
        """

    @abstractmethod
    def check(self, value: object, path: str) -> None:
        """
        Find out why ``value`` cannot be written.

        :raise WriteError: why; it begins with ``path``, which is the class and what of it.
        """


class Value(NamedTuple):
    """
    One value in the generated text.

    ``kind``: how it is laid out.
    ``text``: the expression that gives it when writing, the variable that takes it when reading.
    ``label``: the class and field of it, for a `ReadError`.
    """

    kind: Kind
    text: str
    label: str = ""

    @property
    def where(self) -> str:
        """
        The label, and what was to be read there.
        """
        return f"{self.label}: {self.kind.name}"


class Source:
    """
    Lines of Python, and the objects that they refer to by name.

    It defines ``encode`` and ``decode``.  Reading code finds the input in ``data``, its place there
    in ``position`` and the end of what may be read in ``end``.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names: dict[str, Any] = {
            "encode": None,
            "decode": None,
            "ReadError": ReadError,
            "announced": _announced,
            "cut": _cut,
            "inside": _inside,
            "misread": _misread,
        }
        self._depth = 0
        self._count = 0

    def line(self, text: str) -> None:
        """
        Add a line at the current depth.
        """
        self._lines.append(_INDENT * self._depth + text)

    @contextmanager
    def block(self, opening: str) -> Iterator[None]:
        """
        Add ``opening``; what is added inside of the ``with`` is one step deeper.
        """
        self.line(opening)
        self._depth += 1
        yield
        self._depth -= 1

    def fresh(self, prefix: str) -> str:
        """
        A variable that nobody uses yet.
        """
        self._count += 1
        return f"{prefix}{self._count}"

    def bind(self, name: str, thing: object) -> str:
        """
        Let the text refer to ``thing``.

        :return: by what name: `name`, or one like it if that is another thing's.
        """
        found = name
        while self._names.setdefault(found, thing) is not thing:
            found = self.fresh(f"{name}_")
        return found

    def write(self, values: list[Value]) -> list[str]:
        """
        Add what prepares ``values`` for writing.  What has a fixed size is packed at once.

        :return: the expressions of the runs of bytes that they make.
        """
        parts: list[str] = []
        layout, packed = "<", list[str]()

        def pack() -> None:
            nonlocal layout
            if packed:
                name = self.bind("pack", Struct(layout).pack)
                parts.append(f"{name}({', '.join(packed)})")
            layout = "<"
            packed.clear()

        for kind, text, _ in values:
            head, tail = kind.write(self, text)
            if head:
                layout += kind.head
                packed.append(head)
            if tail:
                pack()
                parts.append(tail)
        pack()
        return parts

    def read(self, values: list[Value]) -> None:
        """
        Add what reads ``values`` into their variables and moves ``position`` behind them.
        """
        run: list[Value] = []
        for value in values:
            if value.kind.head:
                run.append(value)
            if value.kind.tail:
                self._read_run(run)
                run = []
                if not value.kind.head:
                    value.kind.read(self, value, "position")
        self._read_run(run)

    def _read_run(self, run: list[Value]) -> None:
        """
        Check once that all heads are there, unpack them at once, then make values of them.
        """
        if not run:
            return
        fields = []
        size = 0
        for value in run:
            start, size = size, size + calcsize("<" + value.kind.head)
            fields.append((value.where, start, size))
        layout = Struct("<" + "".join(value.kind.head for value in run))
        name = self.bind("unpack", layout.unpack_from)
        after = self.fresh("after")
        self.line(f"{after} = position + {size}")
        with self.block(f"if {after} > end:"):
            self.line(f"raise cut({self.bind('run', tuple(fields))}, position, end)")
        targets = ", ".join(value.text for value in run)
        self.line(f"{targets}{',' if len(run) == 1 else ''} = {name}(data, position)")
        self.line(f"position = {after}")
        for value, (_, start, _) in zip(run, fields, strict=True):
            value.kind.read(self, value, f"position - {size - start}")

    def compile(self, filename: str) -> dict[str, Any]:
        """
        Run the text, which defines functions.

        :param filename: what tracebacks call it, and find the text under.
        :return: what is defined.
        """
        text = "\n".join(self._lines) + "\n"
        exec(compile(text, filename, "exec"), self._names)
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        return self._names


def joined(parts: list[str]) -> str:
    """
    One expression of all the bytes.
    """
    if not parts:
        return 'b""'
    # Two are put together faster than joined.
    return " + ".join(parts) if len(parts) <= 2 else f'b"".join(({", ".join(parts)}))'


def _bytes_left(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'} left"


def _cut(run: tuple[tuple[str, int, int], ...], position: int, end: int) -> ReadError:
    """
    Which value of ``run``, that begins at ``position``, is not there in full.
    """
    left = end - position
    label, start = next((label, start) for label, start, stop in run if stop > left)
    return ReadError(f"{label} at position {position + start}: {_bytes_left(left - start)}")


def _announced(label: str, position: int, count: int, left: int) -> ReadError:
    """
    There is not as much as the count at ``position`` says.
    """
    return ReadError(
        f"{label} at position {position}: a count of {count}, but {_bytes_left(left)}"
    )


def _misread(label: str, position: int, fault: object) -> ReadError:
    """
    What is there cannot be such a value.
    """
    return ReadError(f"{label} at position {position}: {fault}")


def _inside(label: str, error: ReadError) -> ReadError:
    """
    Where in the whole ``error`` was.
    """
    return ReadError(f"{label}: {error}")
