"""
Asks observers where they see our socket, to learn what our NAT does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pnet.interfaces import Address, RudpError
from p2pnet.reach.observer import Observing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.interfaces import INetManager
    from p2pnet.reach.mapping import NatMapping, Observation

MAX_OBSERVERS: Final = 4
"""Two ports and two addresses tell all there is to tell."""


class Mirror:
    """
    One round of questions at a time.

    :param own_hosts: this machine's own addresses.
    :param seen: told what the observers have said, and what that means.
    """

    def __init__(
        self,
        manager: INetManager,
        clock: IReactorTime,
        *,
        random: Callable[[int], int],
        own_hosts: Callable[[], Collection[str]],
        seen: Callable[[Sequence[Observation], NatMapping], None],
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._random = random
        self._own_hosts = own_hosts
        self._seen = seen
        self._observing: Observing | None = None
        self._timer: IDelayedCall | None = None

    def look(self, observers: Sequence[Address]) -> None:
        """
        Ask these, of which only `MAX_OBSERVERS` count, unless a round is under way.

        :param observers: literal IPs and ports.
        """
        if self._observing is not None or not observers:
            return
        self._observing = Observing(
            observers[:MAX_OBSERVERS],
            self._own_hosts(),
            random=self._random,
            now=self._clock.seconds(),
        )
        self._pump()

    def stop(self) -> None:
        """
        Break the round off.
        """
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
