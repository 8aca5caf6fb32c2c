"""
Asks observers where they see our socket, to learn what our NAT does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.task import LoopingCall

from p2pnet.interfaces import Address, RudpError
from p2pnet.reach.candidates import Candidate, CandidateKind, may_dial
from p2pnet.reach.observer import Observing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.interfaces import INetManager
    from p2pnet.reach.mapping import NatMapping, Observation

MAX_OBSERVERS: Final = 4
"""Two ports and two addresses tell all there is to tell."""
WATCH_INTERVAL: Final = 1.0
"""Seconds between looks at whether the daemon's engine is still heard."""
SILENCE: Final = 2.5
"""Seconds without a word from the engine, which pings each second, before we look at ourselves."""


class Mirror:
    """
    One round of questions at a time: when there are observers to ask, and when the daemon is not
    heard any more.

    :param own_hosts: this machine's own addresses.
    :param silence: seconds since the daemon was heard.
    :param seen: told what the observers have said, and what that means.
    """

    def __init__(
        self,
        manager: INetManager,
        clock: IReactorTime,
        *,
        random: Callable[[int], int],
        own_hosts: Callable[[], Collection[str]],
        silence: Callable[[], float],
        seen: Callable[[Sequence[Observation], NatMapping], None],
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._random = random
        self._own_hosts = own_hosts
        self._silence = silence
        self._seen = seen
        self._observers: list[Address] = []
        self._observing: Observing | None = None
        self._timer: IDelayedCall | None = None
        self._watch = LoopingCall(self._look_if_silent)
        self._watch.clock = clock

    def start(self) -> None:
        """
        Watch from now on.
        """
        self._watch.start(WATCH_INTERVAL, now=False)

    def stop(self) -> None:
        """
        Watch no more.
        """
        if self._watch.running:
            self._watch.stop()
        self.look_away()

    def look(self, observers: Sequence[Address]) -> None:
        """
        Ask these, and again when need be, unless a round is under way.

        :param observers: as the daemon names them, itself first; only `MAX_OBSERVERS` count, and
            only those that may be bothered on its word.
        """
        named = (Candidate(CandidateKind.OBSERVED, each) for each in observers)
        known = [each.address for each in named if may_dial(each, together=True)]
        self._observers = known[:MAX_OBSERVERS]
        self._look()

    def _look_if_silent(self) -> None:
        if self._silence() > SILENCE:
            self._look()

    def _look(self) -> None:
        if self._observing is not None or not self._observers:
            return
        self._observing = Observing(
            self._observers,
            self._own_hosts(),
            random=self._random,
            now=self._clock.seconds(),
        )
        self._pump()

    def look_away(self) -> None:
        """
        Break the round off, and forget whom to ask.
        """
        self._observers = []
        self._observing = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def receive(self, data: bytes, address: Address) -> bool:
        """
        A STUN message came to our socket; true if it was an answer of an observer.
        """
        if self._observing is None:
            return False
        taken = self._observing.receive(data, address, self._clock.seconds())
        if taken:
            self._pump()
        return taken

    def _pump(self) -> None:
        observing = self._observing
        if observing is None:
            return
        now = self._clock.seconds()
        observing.handle_timeout(now)
        for address, data in observing.datagrams_to_send():
            try:
                self._manager.send_datagram(address, data)
            except RudpError:
                # Our socket has closed; we will be stopped, too.
                break
        made = list(observing.events())
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if made:
            self._observing = None
            for event in made:
                self._seen(event.observations, event.mapping)
            return
        due = observing.next_timeout()
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - now), self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        self._pump()
