"""
One connection with a person: a session over a peer of the engine, and its timer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from p2pnet.chat.events import Cause, SessionClosed, SessionEvent
from p2pnet.chat.identity import Identity
from p2pnet.chat.session import Session
from p2pnet.chat.states import LIVE, SessionState
from p2pnet.interfaces import RudpError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.interfaces import INetPeer

DRAIN_INTERVAL: Final = 0.05
"""Seconds between two looks at whether all we said has arrived, before we hang up."""
MAX_FAREWELL: Final = 200
"""Bytes of a reason in the engine's disconnect, which must fit one datagram."""


class Link:
    """
    A session that talks.

    :ivar dialled: we dialled; otherwise they did.
    :param deliver: told of every event of the session; may call back at once.
    """

    def __init__(
        self,
        peer: INetPeer,
        peer_id: str,
        session: Session,
        clock: IReactorTime,
        *,
        dialled: bool,
        deliver: Callable[[Link, SessionEvent], None],
    ) -> None:
        self.peer = peer
        self.peer_id = peer_id
        self.session = session
        self.dialled = dialled
        self._clock = clock
        self._deliver = deliver
        self._timer: IDelayedCall | None = None
        self._deadline: float | None = None
        self._pumping = False
        self._gone = False

    @property
    def live(self) -> bool:
        """
        Something can be said.
        """
        return self.session.state in LIVE

    @property
    def open(self) -> bool:
        """
        Hellos have been exchanged.
        """
        return self.session.state is SessionState.OPEN

    def start(self) -> None:
        """
        Say hello.
        """
        self._pump()

    def receive(self, data: bytes) -> None:
        """
        A message came.
        """
        self.session.receive_message(data, self._clock.seconds())
        self._pump()

    def say(self, text: str) -> None:
        """
        Send a text.

        :raise ValueError: see `Session.say`.
        """
        self.session.say(text, self._clock.seconds())
        self._pump()

    def carry(self) -> None:
        """
        Send what another connection may not have brought.
        """
        self.session.carry(self._clock.seconds())
        self._pump()

    def ping(self) -> None:
        """
        Measure the way there and back.

        :raise ValueError: see `Session.ping`.
        """
        self.session.ping(self._clock.seconds())
        self._pump()

    def rename(self, identity: Identity) -> None:
        """
        Tell our new name.
        """
        self.session.rename(identity, self._clock.seconds())
        self._pump()

    def close(self, reason: str) -> None:
        """
        Say goodbye, and hang up when what we said has arrived.
        """
        self.session.close(reason, self._clock.seconds())
        self._pump()

    def lost(self, reason: str, cause: Cause) -> None:
        """
        The connection is gone.
        """
        self._gone = True
        self._stop_timer()
        self.session.lost(reason, cause)
        self._pump()

    def cut(self, reason: str) -> None:
        """
        Hang up now, whatever is under way.
        """
        self._stop_timer()
        if not self._gone:
            self._gone = True
            self.peer.disconnect(reason.encode("utf-8", "replace")[:MAX_FAREWELL])

    def _pump(self) -> None:
        """
        Send all, tell all, until neither moved.
        """
        if self._pumping:
            return
        self._pumping = True
        try:
            while True:
                messages, events = self.session.messages_to_send(), self.session.events()
                if not messages and not events:
                    break
                self.session.taken(self._send(messages), self._clock.seconds())
                for event in events:
                    self._deliver(self, event)
                    if isinstance(event, SessionClosed):
                        self._hang_up(event)
        finally:
            self._pumping = False
        self._arm()

    def _send(self, messages: list[bytes]) -> int:
        """
        How many the engine has taken.  Nothing overtakes what it has refused.
        """
        for count, message in enumerate(messages):
            try:
                self.peer.send(message)
            except RudpError:
                return count
        return len(messages)

    def _arm(self) -> None:
        deadline = self.session.next_timeout()
        if deadline is None or self._gone or deadline == self._deadline:
            return
        self._stop_timer()
        self._deadline = deadline
        delay = max(0.0, deadline - self._clock.seconds())
        self._timer = self._clock.callLater(delay, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = self._deadline = None
        self.session.handle_timeout(self._clock.seconds())
        self._pump()

    def _stop_timer(self) -> None:
        timer, self._timer, self._deadline = self._timer, None, None
        if timer is not None and timer.active():
            timer.cancel()

    def _hang_up(self, closed: SessionClosed) -> None:
        self._stop_timer()
        self._drain(closed.reason, self._clock.seconds() + closed.linger)

    def _drain(self, reason: str, until: float) -> None:
        self._timer = None
        if self._gone:
            return
        if self.peer.unacknowledged and self._clock.seconds() < until:
            self._timer = self._clock.callLater(DRAIN_INTERVAL, self._drain, reason, until)
        else:
            self.cut(reason)
