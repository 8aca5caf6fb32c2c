"""
What was said to and heard from one person, whatever connections carry it.  Pure.

Our texts are numbered in the order in which they were first sent, and kept until the other side has
said that it has them; theirs are told apart by their numbers.  So what a broken connection has
swallowed is sent again over the next one, and what comes twice is shown once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from p2pnet.chat.messages import check_text

MAX_KEPT: Final = 4096
"""Texts to one person that may wait for their arrival."""
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of those, in UTF-8."""

MAX_LEDGERS: Final = 1024
"""
People whose numbers are remembered, in case that they go on with what is over for us.  Those who
were met last stay: far more than can be talked to at one time.
"""


@dataclass(frozen=True, slots=True)
class Said:
    """
    A text of ours that is not known to have arrived.

    :ivar number: 1 or more; 0 before it is first sent.
    :ivar timestamp: unix seconds at which it was said.
    :ivar size: bytes.
    """

    number: int
    text: str
    timestamp: float
    size: int


class Ledger:
    """
    Both directions of what two people have to say to each other.

    :ivar received: the highest number that we have had from them; 0 at first.
    :ivar left: we ended the conversation by choice, and they may not know it.
    """

    def __init__(self) -> None:
        self.received = 0
        self.left = False
        self._last = 0
        self._waiting: deque[Said] = deque()
        """Never sent yet."""
        self._sent: deque[Said] = deque()
        self._size = 0

    def __len__(self) -> int:
        """
        How many texts of ours are not known to have arrived.
        """
        return len(self._sent) + len(self._waiting)

    # ------------------------------------------------------------ ours

    def add(self, text: str, timestamp: float) -> None:
        """
        Keep a text until it has arrived.

        :raise ValueError: no text of 1..32768 encodable characters, or too many wait already.
        """
        size = check_text(text)
        if len(self) >= MAX_KEPT:
            raise ValueError(f"{len(self)} lines wait for their arrival already")
        if self._size + size > MAX_KEPT_BYTES:
            raise ValueError(f"lines of {self._size} bytes wait for their arrival already")
        self._size += size
        self._waiting.append(Said(0, text, timestamp, size))

    def number(self) -> int:
        """
        Number what was never sent; how many texts that were.
        """
        count = len(self._waiting)
        for said in self._waiting:
            self._last += 1
            self._sent.append(Said(self._last, said.text, said.timestamp, said.size))
        self._waiting.clear()
        return count

    def sent_after(self, number: int) -> list[Said]:
        """
        The numbered texts after that one, in order.
        """
        found = []
        for said in reversed(self._sent):
            if said.number <= number:
                break
            found.append(said)
        found.reverse()
        return found

    def confirm(self, number: int) -> None:
        """
        They have everything up to ``number``.
        """
        while self._sent and self._sent[0].number <= number:
            self._size -= self._sent.popleft().size

    def resume(self, number: int) -> None:
        """
        They begin a connection, and have everything up to ``number``.

        If we have forgotten how far we were, our next texts must have numbers that are new to them.
        """
        self.confirm(number)
        self._last = max(self._last, number)

    def abandon(self) -> list[str]:
        """
        Forget the texts that are not known to have arrived: these.
        """
        texts = [said.text for said in (*self._sent, *self._waiting)]
        self._sent.clear()
        self._waiting.clear()
        self._size = 0
        return texts

    # ------------------------------------------------------------ theirs

    def take(self, number: int) -> bool:
        """
        A text came; whether it is new.
        """
        if number <= self.received:
            return False
        self.received = number
        return True


class Ledgers:
    """
    One for each of those who were met last.
    """

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}

    def __len__(self) -> int:
        return len(self._ledgers)

    def of(self, peer_id: str) -> Ledger:
        """
        Somebody's, who is met now.
        """
        ledger = self._ledgers.pop(peer_id, None)
        if ledger is None:
            ledger = Ledger()
        self._ledgers[peer_id] = ledger
        if len(self._ledgers) > MAX_LEDGERS:
            del self._ledgers[next(iter(self._ledgers))]
        return ledger
