"""
The console: lines over telnet, nc or a terminal alike.

Input is UTF-8 (what is not is replaced), its lines end with LF, CR LF or CR NUL.  Output is UTF-8;
its lines end with LF, or with CR LF for whoever speaks telnet or types CR.  Everything shown has
gone through `visible` (TRAPS T25); telnet's options are all refused (TRAPS T26).
"""

from __future__ import annotations

from collections.abc import Callable
from time import localtime, struct_time
from typing import Final

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pnet.chat.seat import Seat
from p2pnet.chat.service import ChatService
from p2pnet.chat.telnet import LineSplitter, LineTooLong, TelnetFilter

MAX_UNSENT: Final = 1024 * 1024
"""Bytes that may wait for a console to read them; one that does not is dropped."""
MAX_CONSOLES: Final = 16
"""Consoles of one factory at one time."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Console(Protocol):
    """
    One console.  It is its transport's producer only to learn how much is still unread.

    :param open_consoles: where it enters itself while it is open.
    :param on_quit: called once when the person has left by choice.
    """

    def __init__(
        self,
        chat: ChatService,
        open_consoles: set[Console],
        local_time: Callable[[float], struct_time],
        on_quit: Callable[[], None],
    ) -> None:
        self._chat = chat
        self._open_consoles = open_consoles
        self._on_quit = on_quit
        self._telnet = TelnetFilter()
        self._lines = LineSplitter()
        self._seat = Seat(
            chat,
            write=self._write_line,
            leave=self._leave,
            close=self._close,
            idle=self._idle,
            local_time=local_time,
        )
        self._paused = False
        self._unsent = 0
        self._input_ended = False
        self._by_choice = False
        self._closed = False

    # ------------------------------------------------------------ the connection

    def connectionMade(self) -> None:
        IConsumer(self.transport).registerProducer(self, True)
        self._open_consoles.add(self)
        self._seat.greet()
        self._chat.attach(self._seat)

    def dataReceived(self, data: bytes) -> None:
        plain, answer = self._telnet.feed(data)
        self._send(answer)
        for line in self._lines.feed(plain):
            if self._closed:
                return
            if isinstance(line, LineTooLong):
                self._seat.notice(f"a line has at most {line.limit} bytes: not taken")
            else:
                self._seat.line(line.decode("utf-8", "replace"))

    def readConnectionLost(self) -> None:
        """
        Nothing more will be typed: leave when all that was asked for has been answered.
        """
        self._input_ended = True
        if not self._seat.requests:
            self._leave()

    def writeConnectionLost(self) -> None:
        """
        Nobody reads any more.  For a terminal no `connectionLost` follows.
        """
        self._leave()
        self._forget()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closed = True
        self._forget()

    def _idle(self) -> None:
        if self._input_ended:
            self._leave()

    def _leave(self) -> None:
        self._by_choice = not self._closed
        self._close()

    def _close(self) -> None:
        if self._closed or self.transport is None:
            return
        self._closed = True
        # A producer that is paused would keep the transport from closing.
        IConsumer(self.transport).unregisterProducer()
        self.transport.loseConnection()

    def _forget(self) -> None:
        self._chat.detach(self._seat)
        self._open_consoles.discard(self)
        if self._by_choice:
            self._by_choice = False
            self._on_quit()

    # ------------------------------------------------------------ output

    def _write_line(self, line: str) -> None:
        telnet = self._telnet.spoken or self._lines.carriage_returns
        data = line.encode("utf-8") + (b"\r\n" if telnet else b"\n")
        self._send(self._telnet.escape(data))

    def _send(self, data: bytes) -> None:
        if self._closed or self.transport is None or not data:
            return
        if self._paused:
            self._unsent += len(data)
        if self._unsent > MAX_UNSENT:
            self._closed = True
            # stdio can only be closed.
            getattr(self.transport, "abortConnection", self.transport.loseConnection)()
            return
        self.transport.write(data)

    def pauseProducing(self) -> None:
        """
        The transport's buffer is full; what is written now piles up.
        """
        self._paused = True

    def resumeProducing(self) -> None:
        """
        All has been sent.
        """
        self._paused = False
        self._unsent = 0

    def stopProducing(self) -> None:
        """
        The transport is gone; `connectionLost` follows.
        """


class _Refusal(Protocol):
    """
    For one console too many.
    """

    def connectionMade(self) -> None:
        if self.transport is not None:
            self.transport.write(f"*** {MAX_CONSOLES} consoles are open already\n".encode())
            self.transport.loseConnection()


class ConsoleFactory(Factory):
    """
    Makes consoles of one chat, for any stream endpoint; ``stdio:`` included.

    :param local_time: from unix seconds to the local time of day.
    :param on_quit: called when somebody leaves by choice (/quit, or the end of input); for a
        terminal that is the end of the program.
    """

    noisy = False

    def __init__(
        self,
        chat: ChatService,
        *,
        local_time: Callable[[float], struct_time] = localtime,
        on_quit: Callable[[], None] = lambda: None,
    ) -> None:
        self._chat = chat
        self._local_time = local_time
        self._on_quit = on_quit
        self._consoles: set[Console] = set()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        if len(self._consoles) >= MAX_CONSOLES:
            return _Refusal()
        return Console(self._chat, self._consoles, self._local_time, self._on_quit)
