"""
Carries what changes in the registry to all who listen, each piece written once.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.task import LoopingCall

from p2pnet.signaling.allowance import TooOften
from p2pnet.signaling.feed import BACKLOG
from p2pnet.signaling.rest.news import GoneEvent, PeerEvent
from p2pnet.signaling.rest.shapes import Peer
from p2pnet.signaling.shapes import encode

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.signaling.feed import Feed
    from p2pnet.signaling.limits import Limits
    from p2pnet.signaling.records import Change

BEAT: Final = 15.0
"""Seconds between two signs of life: proxies cut what is silent for a minute."""
PAUSE: Final = 0.02
"""Seconds from one telling to the next at least: what happens meanwhile is told together."""
REST: Final = 2
"""Times what the last telling took: so long is the pause if there are many to be told."""
SLICE: Final = 250
"""Listeners told in one turn of the reactor, which takes some 5 ms."""
RETRY: Final = 2.0
"""Seconds after which a listener who was cut off comes again."""
NOWHERE: Final = ""
"""No room has this name: who listens there hears no changes."""
FULL_WAIT: Final = 30.0
"""Seconds for which to send away who finds no place to listen."""


@dataclass(frozen=True, slots=True)
class Frame:
    """
    A change, ready to be sent.

    :ivar json: a `PeerEvent` or `GoneEvent`.
    :ivar sse: the same as an event of a stream.
    :ivar gone: who is not in the room any more, if somebody.
    """

    sequence: int
    room: str | None
    json: bytes
    sse: bytes
    gone: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Changes of one room that are told together, oldest first.

    :ivar sse: all of them.
    """

    frames: list[Frame]
    sse: bytes

    @classmethod
    def of(cls, frames: list[Frame]) -> Batch:
        """
        These changes.
        """
        return cls(frames, b"".join(frame.sse for frame in frames))

    def after(self, sequence: int) -> Batch:
        """
        Those that come after a change.
        """
        if self.frames[0].sequence > sequence:
            return self
        return Batch.of([frame for frame in self.frames if frame.sequence > sequence])


    def leaving(self, peer_id: str | None) -> int | None:
        """
        Where in it that peer leaves the room, if it does.
        """
        if peer_id is not None:
            for index, frame in enumerate(self.frames):
                if frame.gone == peer_id:
                    return index
        return None


class Listener(Protocol):
    """
    Who listens.
    """

    def tell(self, batch: Batch) -> None:
        """
        Something has changed that it may see.
        """

    def reset(self, sequence: int) -> None:
        """
        Something was missed.
        """

    def beat(self) -> None:
        """
        Nothing is new.
        """

    def leave(self) -> None:
        """
        Listen elsewhere.
        """


@dataclass(frozen=True, slots=True)
class _Home:
    """
    Where a listener is, who it is if we know, and after which change it has joined.
    """

    room: str | None
    network: str
    peer_id: str | None
    since: int


class Hub:
    """
    One watcher of the registry's feed for all listeners, and one timer for all signs of life.

    What has changed is told at the end of the turn, or after a pause since it was done last, and to
    `SLICE` listeners in a turn: thousands of them must keep nobody else waiting.

    :param clock: for the timer.
    :ivar dropped: listeners that were too slow.
    """

    def __init__(
        self, feed: Feed, limits: Limits, clock: IReactorTime, backlog: int = BACKLOG
    ) -> None:
        self.dropped = 0
        self._feed = feed
        self._limits = limits
        self._since = feed.sequence
        """All changes after this one are in the frames."""
        self._frames: deque[Frame] = deque(maxlen=backlog)
        self._by_room: dict[str | None, dict[Listener, None]] = {}
        self._homes: dict[Listener, _Home] = {}
        self._of_network: Counter[str] = Counter()
        self._untold: list[Frame] = []
        self._telling: IDelayedCall | None = None
        self._began_at = 0.0
        self._tell_at = 0.0
        """Not earlier."""
        self._clock = clock
        self._heart = LoopingCall(self._beat)
        self._heart.clock = clock
        feed.watch(self._changed)

    @property
    def sequence(self) -> int:
        """
        Of the last change.
        """
        return self._feed.sequence

    @property
    def listeners(self) -> int:
        """
        How many there are.
        """
        return len(self._homes)

    def since(self, sequence: int, room: str | None) -> list[Frame] | None:
        """
        What those in a room have missed after a change; None if we do not know it all.
        """
        if not self._since <= sequence <= self.sequence:
            return None
        # From the end, for most have missed little.
        missed: list[Frame] = []
        for frame in reversed(self._frames):
            if frame.sequence <= sequence:
                break
            if frame.room == room:
                missed.append(frame)
        missed.reverse()
        return missed

    def join(
        self, listener: Listener, room: str | None, network: str, peer_id: str | None = None
    ) -> None:
        """
        Have ``listener`` told of what changes in a room (None: outside all) from now on.

        :param network: where it is; see `p2pnet.signaling.addresses.network_of`.
        :param peer_id: whose it is; it is sent away when that one leaves the room.
        :raise TooOften: there are too many listeners, there or in all.
        """
        limits = self._limits
        if (
            len(self._homes) >= limits.listeners_in_all
            or self._of_network[network] >= limits.listeners
        ):
            raise TooOften(FULL_WAIT)
        self._homes[listener] = _Home(room, network, peer_id, self.sequence)
        self._by_room.setdefault(room, {})[listener] = None
        self._of_network[network] += 1
        if not self._heart.running:
            self._heart.start(BEAT, now=False)

    def part(self, listener: Listener) -> None:
        """
        It listens no more.
        """
        home = self._homes.pop(listener, None)
        if home is None:
            return
        members = self._by_room[home.room]
        del members[listener]
        if not members:
            del self._by_room[home.room]
        self._of_network[home.network] -= 1
        if not self._of_network[home.network]:
            del self._of_network[home.network]
        if not self._homes and self._heart.running:
            self._heart.stop()

    def close(self) -> None:
        """
        Send everybody away.
        """
        for listener in list(self._homes):
            listener.leave()

    def _changed(self, change: Change | None) -> None:
        if change is None:
            self._frames.clear()
            self._untold.clear()
            self._since = self._feed.sequence
            for listener in list(self._homes):
                listener.reset(self.sequence)
            return
        if len(self._frames) == self._frames.maxlen:
            self._since = self._frames[0].sequence
        frame = _framed(change)
        self._frames.append(frame)
        if self._homes:
            self._untold.append(frame)
            self._tell_soon()

    def _tell_soon(self) -> None:
        if self._telling is None and self._untold:
            wait = self._tell_at - self._clock.seconds()
            self._telling = self._clock.callLater(max(0.0, wait), self._tell)

    def _tell(self) -> None:
        """
        Begin to tell what has changed.
        """
        self._began_at = self._clock.seconds()
        frames, self._untold = self._untold, []
        by_room: dict[str | None, list[Frame]] = {}
        for frame in frames:
            by_room.setdefault(frame.room, []).append(frame)
        waiting = [
            (listener, batch)
            for room, some in by_room.items()
            for batch in (Batch.of(some),)
            for listener in self._by_room.get(room, ())
        ]
        self._tell_some(waiting)

    def _tell_some(self, waiting: list[tuple[Listener, Batch]]) -> None:
        for listener, batch in waiting[:SLICE]:
            self._tell_one(listener, batch)
        rest = waiting[SLICE:]
        if rest:
            self._telling = self._clock.callLater(0, self._tell_some, rest)
            return
        self._telling = None
        now = self._clock.seconds()
        self._tell_at = now + max(PAUSE, REST * (now - self._began_at))
        self._tell_soon()

    def _tell_one(self, listener: Listener, batch: Batch) -> None:
        home = self._homes.get(listener)
        if home is None or batch.frames[-1].sequence <= home.since:
            return
        batch = batch.after(home.since)
        left = batch.leaving(home.peer_id)
        if left is not None:
            # What happens in there afterwards is its business no more.
            before = batch.frames[:left]
            if before:
                listener.tell(Batch.of(before))
            listener.leave()
        else:
            listener.tell(batch)

    def _beat(self) -> None:
        for listener in list(self._homes):
            listener.beat()


def _framed(change: Change) -> Frame:
    record, number = change.record, str(change.sequence)
    if change.gone:
        kind, data = b"gone", encode(GoneEvent(number, record.peer_id))
    else:
        kind, data = b"peer", encode(PeerEvent(number, Peer.of(record)))
    return Frame(
        change.sequence,
        record.room,
        data,
        streamed(kind, data, change.sequence),
        record.peer_id if change.gone else None,
    )


def streamed(kind: bytes, data: bytes, sequence: int | None = None) -> bytes:
    """
    An event of a stream (HTML Standard §9.2.5).

    :param data: JSON, which has no line breaks.
    :param sequence: where to go on from after it; None says nothing about that.
    """
    place = b"" if sequence is None else b"id: %d\n" % sequence
    return b"%bevent: %b\ndata: %b\n\n" % (place, kind, data)
