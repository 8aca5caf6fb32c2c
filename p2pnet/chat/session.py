"""
One conversation over one connection.  Performs no I/O and reads no clock.

The five verbs of every machine here, with *message* for *datagram*.  Both sides say hello first;
after that they talk, and each asks with a ping now and then whether the other still listens.

What is said lives in a `Ledger`, which outlives the connection.  A connection carries the texts in
the order of their numbers and leaves none out that may not have arrived, so that the other side,
which takes only numbers higher than it has, misses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from p2pnet.chat.events import (
    Cause,
    ClosingBegun,
    Counts,
    PeerRenamed,
    PongReceived,
    SessionClosed,
    SessionEvent,
    SessionOpened,
    TextReceived,
)
from p2pnet.chat.identity import Identity
from p2pnet.chat.ledger import Ledger
from p2pnet.chat.messages import (
    MAX_REASON,
    Disconnect,
    Hello,
    MalformedMessage,
    Message,
    Ping,
    Pong,
    Received,
    Text,
    Unknown,
    decode,
    encode,
)
from p2pnet.chat.states import LIVE, MOVES, SessionState, Step

HELLO_TIMEOUT: Final = 10.0
"""Seconds the other side has for its hello."""
HEARTBEAT: Final = 15.0
"""Seconds between two pings of ours."""
MISSED_HEARTBEATS: Final = 2
"""Unanswered heartbeats after which a conversation is given up."""
CLOSE_GRACE: Final = 1.0
"""
Seconds we wait, after our disconnect, for the other side to close.  Closing the connection
ourselves would abandon what it has not yet acknowledged (BEHAVIOUR §2).
"""
RETRY_AFTER: Final = 0.5
"""Seconds after which the engine is offered again what it did not take."""
MAX_PINGS: Final = 16
"""Pings of a person's that may wait for their pongs; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    data: bytes
    number: int
    """Of a text; 0 of anything else."""


@dataclass(frozen=True, slots=True)
class _Sent:
    at: float
    requested: bool


@dataclass(slots=True)
class _Pings:
    """
    Ours that wait for a pong, oldest first.
    """

    waiting: dict[int, _Sent] = field(default_factory=dict)
    number: int = 0

    def add(self, now: float, *, requested: bool) -> int:
        asked = [number for number, sent in self.waiting.items() if sent.requested]
        if requested and len(asked) >= MAX_PINGS:
            del self.waiting[asked[0]]
        self.number += 1
        self.waiting[self.number] = _Sent(now, requested)
        return self.number

    def heartbeats(self) -> int:
        return sum(not sent.requested for sent in self.waiting.values())


class Session:
    """
    One conversation: says hello, texts and heartbeats, and yields what was heard.

    :param identity: ourselves; said in the hello.
    :param now: seconds of the clock that all other calls use.
    :param epoch: unix seconds at ``now == 0``; dates our messages.
    :param expected: the only peer id that we take a hello from; None takes any but our own.
    :param heartbeat: seconds between our pings.
    :param ledger: what was said and heard so far; a new one if there is none.
    :param resumes: goes on with a conversation whose connection broke.
    :ivar state: where it is in its life.
    :ivar counts: what went through.
    :ivar peer: who the other side is; None before its hello.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        now: float,
        epoch: float,
        expected: str | None = None,
        heartbeat: float = HEARTBEAT,
        ledger: Ledger | None = None,
        resumes: bool = False,
    ) -> None:
        self.state = SessionState.GREETING
        self.counts = Counts()
        self.peer: Identity | None = None
        self._identity = identity
        self._epoch = epoch
        self._expected = expected
        self._heartbeat = heartbeat
        self._ledger = Ledger() if ledger is None else ledger
        self._resumes = resumes
        self._confirms = False
        """They say what they have received, and hear it from us."""
        self._carried = 0
        """The number of the last text that went this way."""
        self._retry_at: float | None = None
        self._pings = _Pings()
        self._deadline = now + HELLO_TIMEOUT
        """Of the hello, then of the next ping, then of the closing: by state."""
        self._ending = ("", Cause.US)
        self._out: list[_Outgoing] = []
        self._given: list[_Outgoing] = []
        """What `messages_to_send` gave last."""
        self._events: list[SessionEvent] = []
        self._greet(now)

    # ------------------------------------------------------------ what happened outside

    def receive_message(self, data: bytes, now: float) -> None:
        """
        One message came.  Never raises: what is malformed is counted and answered by closing.
        """
        if self.state is SessionState.REFUSING:
            return
        try:
            message = decode(data)
            if self.state is not SessionState.CLOSED:
                self._take(message, now)
            elif isinstance(message, Received) and self.peer is not None:
                # They have said goodbye, and still tell what of ours came before they go.
                self._check_sender(message.sender)
                self._ledger.confirm(message.id)
        except MalformedMessage as error:
            self.counts.malformed += 1
            if self.state is not SessionState.CLOSED:
                self._refuse(f"malformed message: {error}", now)

    def handle_timeout(self, now: float) -> None:
        """
        `next_timeout` has come.
        """
        if self.state is SessionState.CLOSED:
            return
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self._confirm(now)
            self.carry(now)
        if now < self._deadline:
            return
        if self.state is SessionState.GREETING:
            self._refuse(f"no hello within {HELLO_TIMEOUT:g} s", now)
        elif self.state is not SessionState.OPEN:
            self._end()
        elif self._pings.heartbeats() >= MISSED_HEARTBEATS:
            self._refuse(f"no answer to {MISSED_HEARTBEATS} heartbeats", now)
        else:
            self._send(Ping(*self._head(now), self._pings.add(now, requested=False)))
            self._deadline = now + self._heartbeat

    def lost(self, reason: str, cause: Cause = Cause.LOST) -> None:
        """
        The connection is gone.
        """
        if self.state in LIVE:
            self._ending = (reason, cause)
        self._end()

    # ------------------------------------------------------------ what is to be done outside

    def messages_to_send(self) -> list[bytes]:
        """
        Messages that want sending, in order; each once.
        """
        self._given, self._out = self._out, []
        return [each.data for each in self._given]

    def taken(self, count: int, now: float) -> None:
        """
        The engine has taken so many of what `messages_to_send` gave last, and not the rest.

        Texts among the rest are given again later, and all after them, for the order.
        """
        given, self._given = self._given, []
        missing = [each.number for each in given[count:] if each.number]
        if missing:
            self._carried = missing[0] - 1
        if count < len(given):
            self._retry_at = now + RETRY_AFTER
        if not self._confirms:
            # They will never tell, so what may have arrived is not said again.
            self._ledger.confirm(max((each.number for each in given[:count]), default=0))

    def events(self) -> list[SessionEvent]:
        """
        What happened, in order; each once.
        """
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` wants to be called; None: never again.
        """
        if self.state is SessionState.CLOSED:
            return None
        return self._deadline if self._retry_at is None else min(self._deadline, self._retry_at)

    # ------------------------------------------------------------ commands

    def say(self, text: str, now: float) -> None:
        """
        Send a text; before their hello, when that has come.

        :raise ValueError: no text of 1..32768 encodable characters, too many of them wait for their
            arrival, or the session is closing.
        """
        self._check_live()
        self._ledger.add(text, self._epoch + now)
        self.carry(now)

    def carry(self, now: float) -> None:
        """
        Send the texts in the ledger that did not go this way yet.
        """
        if self.state is not SessionState.OPEN:
            return
        self.counts.sent += self._ledger.number()
        for said in self._ledger.sent_after(self._carried):
            text = Text(self._identity.peer_id, said.timestamp, said.text, said.number)
            self._send(text, said.number)
            self._carried = said.number

    def ping(self, now: float) -> None:
        """
        Ask for a pong; `PongReceived` tells how long it took.

        :raise ValueError: the session is closing.
        """
        self._check_live()
        self._send(Ping(*self._head(now), self._pings.add(now, requested=True)))

    def rename(self, identity: Identity, now: float) -> None:
        """
        Say hello again, under another name.
        """
        self._identity = identity
        if self.state in LIVE:
            self._greet(now)

    def close(self, reason: str, now: float) -> None:
        """
        Say goodbye; the session ends when the other side closes, or after `CLOSE_GRACE`.
        """
        if self.state in LIVE:
            self._leave(Step.CLOSE, reason, Cause.US, now)

    # ------------------------------------------------------------ inside

    def _take(self, message: Message, now: float) -> None:
        match message:
            case Unknown():
                self.counts.ignored += 1
                return
            case Hello():
                self._take_hello(message, now)
                return
            case Disconnect() if self.peer is None:
                pass
            case _:
                self._check_sender(message.sender)
        match message:
            case Text():
                if message.id is None or self._ledger.take(message.id):
                    self.counts.received += 1
                    self._events.append(TextReceived(message.text, message.timestamp))
                else:
                    self.counts.ignored += 1
                self._confirm(now)
            case Received():
                self._ledger.confirm(message.id)
            case Ping():
                self._send(Pong(*self._head(now), message.id))
            case Pong():
                sent = self._pings.waiting.pop(message.id, None)
                if sent is None:
                    self.counts.ignored += 1
                else:
                    self._events.append(PongReceived(now - sent.at, sent.requested))
            case Disconnect():
                if self.state in LIVE:
                    self._ending = (message.reason, Cause.THEM)
                self._end(linger=CLOSE_GRACE)

    def _take_hello(self, hello: Hello, now: float) -> None:
        before = self.peer
        if before is not None:
            self._check_sender(hello.sender)
        elif hello.sender == self._identity.peer_id:
            raise MalformedMessage("hello from our own id")
        elif self._expected not in (None, hello.sender):
            raise MalformedMessage("hello from another one than was introduced")
        self._move(Step.HELLO)
        self.peer = Identity(hello.sender, hello.username)
        if before is None:
            if hello.received is not None:
                self._confirms = True
                self._ledger.resume(hello.received)
            self._events.append(
                SessionOpened(hello.sender, hello.username, hello.version, hello.resumes)
            )
            if self.state is SessionState.OPEN:
                self._deadline = now + self._heartbeat
                self.carry(now)
        elif before.username != hello.username:
            self._events.append(PeerRenamed(hello.username))

    def _check_sender(self, sender: str) -> None:
        if self.peer is None:
            raise MalformedMessage("said something before hello")
        if sender != self.peer.peer_id:
            raise MalformedMessage("`from` is not the one of the hello")

    def _check_live(self) -> None:
        if self.state not in LIVE:
            raise ValueError("the conversation is closing")

    def _head(self, now: float) -> tuple[str, float]:
        return self._identity.peer_id, self._epoch + now

    def _greet(self, now: float) -> None:
        hello = Hello(
            *self._head(now),
            self._identity.username,
            received=self._ledger.received,
            resumes=self._resumes,
        )
        self._send(hello)

    def _confirm(self, now: float) -> None:
        if self._confirms and self._ledger.received:
            self._send(Received(*self._head(now), self._ledger.received))

    def _send(self, message: Message, number: int = 0) -> None:
        self._out.append(_Outgoing(encode(message), number))

    def _refuse(self, reason: str, now: float) -> None:
        self._leave(Step.REFUSE, reason, Cause.TROUBLE, now)

    def _leave(self, step: Step, reason: str, cause: Cause, now: float) -> None:
        announced = self.state not in LIVE
        self._move(step)
        if announced:
            return
        reason = reason[:MAX_REASON]
        self._send(Disconnect(*self._head(now), reason))
        self._deadline = now + CLOSE_GRACE
        self._ending = (reason, cause)
        self._events.append(ClosingBegun(reason, cause))

    def _end(self, *, linger: float = 0.0) -> None:
        if self.state is SessionState.CLOSED:
            return
        if self.state in LIVE:
            self._events.append(ClosingBegun(*self._ending))
        self._move(Step.END)
        self._pings.waiting.clear()
        self._events.append(SessionClosed(*self._ending, linger))

    def _move(self, step: Step) -> None:
        self.state = MOVES[self.state, step]
