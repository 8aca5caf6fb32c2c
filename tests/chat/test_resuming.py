"""
No text is lost, shown twice or shown out of order, however the connections behave.
"""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from p2pnet.chat.events import TextReceived
from p2pnet.chat.identity import Identity, make_identity
from p2pnet.chat.ledger import Ledger
from p2pnet.chat.session import RETRY_AFTER, Session
from p2pnet.chat.states import LIVE, SessionState
from tests.chat.doubles import NOON
from tests.chat.stage import ALICE, BOB

ENDS = st.sampled_from([0, 1])
MAX_WIRES = 3
"""Connections at one time; the oldest is cut without a word."""
WHICH = st.integers(0, MAX_WIRES - 1)


class Side:
    """
    One of two people: a ledger, and what was said and heard.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.ledger = Ledger()
        self.sessions: list[Session] = []
        self.said: list[str] = []
        self.heard: list[str] = []

    def current(self) -> Session | None:
        """
        As `p2pnet.chat.conversation.Conversation.current`, of the open ones.
        """
        opened = [each for each in self.sessions if each.state is SessionState.OPEN]
        return opened[-1] if opened else None


class Wire:
    """
    One connection: what is under way to either side, in order.
    """

    def __init__(self, sides: list[Side], now: float, *, resumes: bool) -> None:
        self.under_way: list[deque[bytes]] = [deque(), deque()]
        """By who it goes to."""
        self.sides = sides
        self.sessions = []
        self.takes = [True, True]
        """Whether the engine of either side takes all; otherwise it takes half."""
        for side in sides:
            session = Session(
                side.identity, now=now, epoch=NOON, ledger=side.ledger, resumes=resumes
            )
            self.sessions.append(session)
            side.sessions.append(session)

    def pump(self, now: float) -> None:
        """
        Move what the sessions want said onto the wire, and what they have heard to the people.
        """
        for end, (side, session) in enumerate(zip(self.sides, self.sessions, strict=True)):
            messages = session.messages_to_send()
            count = len(messages) if self.takes[end] else len(messages) // 2
            self.under_way[1 - end].extend(messages[:count])
            session.taken(count, now)
            for event in session.events():
                if isinstance(event, TextReceived):
                    side.heard.append(event.text)

    def arrive(self, end: int, count: int, now: float) -> None:
        while self.under_way[end] and count:
            count -= 1
            self.sessions[end].receive_message(self.under_way[end].popleft(), now)
            self.pump(now)

    def end(self, end: int, now: float) -> None:
        """
        One side notices that the connection is gone.
        """
        session = self.sessions[end]
        self.under_way[end].clear()
        session.lost("time-out")
        self.pump(now)
        if session in self.sides[end].sessions:
            self.sides[end].sessions.remove(session)
        current = self.sides[end].current()
        if current is not None:
            current.carry(now)


class Resuming(RuleBasedStateMachine):
    """
    Two people talk over connections that are late, refuse, break, and overlap.
    """

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.sides = [Side(make_identity("alice", ALICE)), Side(make_identity("bob", BOB))]
        self.wires: list[Wire] = []
        self.dial(False, {0, 1})

    def pump(self) -> None:
        for wire in self.wires:
            wire.pump(self.now)

    @rule(resumes=st.booleans(), greeted=st.sets(ENDS))
    def dial(self, resumes: bool, greeted: set[int]) -> None:
        """
        :param greeted: whom the other one's hello reaches at once.
        """
        if len(self.wires) == MAX_WIRES:
            del self.wires[0]
        wire = Wire(self.sides, self.now, resumes=resumes)
        self.wires.append(wire)
        self.pump()
        for end in sorted(greeted):
            wire.arrive(end, 1, self.now)

    @rule(end=ENDS, count=st.integers(1, 3), refused=st.booleans())
    def say(self, end: int, count: int, refused: bool) -> None:
        """
        :param refused: the engine does not take all of it.
        """
        side = self.sides[end]
        for wire in self.wires:
            wire.takes[end] = not refused
        for _ in range(count):
            text = f"{end}:{len(side.said)}"
            side.said.append(text)
            session = side.current()
            if session is None:
                side.ledger.add(text, NOON + self.now)
            else:
                session.say(text, self.now)
        self.pump()
        for wire in self.wires:
            wire.takes[end] = True

    @rule(which=WHICH, end=ENDS, count=st.integers(1, 9))
    def arrive(self, which: int, end: int, count: int) -> None:
        self.wires[which % len(self.wires)].arrive(end, count, self.now)

    @rule(seconds=st.sampled_from([0.1, RETRY_AFTER, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for wire in self.wires:
            for session in wire.sessions:
                session.handle_timeout(self.now)
        self.pump()

    @rule(which=WHICH, ends=st.sets(ENDS, min_size=1))
    def a_connection_breaks(self, which: int, ends: set[int]) -> None:
        """
        :param ends: who notices; what is under way to the other one may still arrive there.
        """
        wire = self.wires[which % len(self.wires)]
        for end in sorted(ends):
            wire.end(end, self.now)
        self.pump()

    @invariant()
    def what_was_heard_was_said_in_this_order(self) -> None:
        for here, there in (self.sides, self.sides[::-1]):
            assert there.heard == here.said[: len(there.heard)]

    def teardown(self) -> None:
        """
        In the end there is one good connection.
        """
        for wire in self.wires:
            for end in (0, 1):
                wire.end(end, self.now)
        self.dial(True, {0, 1})
        wire = self.wires[-1]
        while any(wire.under_way):
            wire.arrive(0, 99, self.now)
            wire.arrive(1, 99, self.now)
        for here, there in (self.sides, self.sides[::-1]):
            assert there.heard == here.said
            assert len(here.ledger) == 0
        assert all(session.state in LIVE for session in wire.sessions)


Resuming.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestResuming = Resuming.TestCase
