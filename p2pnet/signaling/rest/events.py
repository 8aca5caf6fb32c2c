"""
Events: streamed, or one by one.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Raw
from twisted.internet.interfaces import IReactorTime

from p2pnet.signaling.addresses import network_of
from p2pnet.signaling.policy import Policy
from p2pnet.signaling.rest.hub import NOWHERE, Frame, Hub
from p2pnet.signaling.rest.listening import Stream, Wait
from p2pnet.signaling.rest.news import Events, EventsQuery, RawEvents, StreamQuery
from p2pnet.signaling.rest.operations import STREAMED, Page, operation
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.reading import Call
from p2pnet.signaling.rest.sampling import Sampler
from p2pnet.signaling.web import Refused

_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")


class EventEndpoints:
    """
    Who listens hears of the peers that it may list: those of its own room, or those in none.

    :param clock: for the waiting.
    """

    def __init__(self, hub: Hub, policy: Policy, sampler: Sampler, clock: IReactorTime) -> None:
        self._hub = hub
        self._policy = policy
        self._sampler = sampler
        self._clock = clock

    @operation(
        "GET",
        "/events",
        media_type="text/event-stream",
        signed="optional",
        begins=True,
        problems=(Kind.NOT_LISTED, Kind.TOO_OFTEN),
    )
    async def stream(self, call: Call, query: StreamQuery) -> Page:
        """
        What changes, as Server-Sent Events.

        ``peer`` events hold a PeerEvent and ``gone`` events a GoneEvent. ``start`` comes first.
        After ``reset``, list the peers anew: some events are not known any more. With
        ``Last-Event-ID``, which browsers send by themselves, the stream goes on after that event.
        ``figures=true`` adds ``figures`` events, which hold Figures; where peers are not listed
        there is nothing else.
        """
        room, peer_id = await self._place(call, or_figures=query.figures)
        request, hub = call.request, self._hub
        stream = Stream(request, self._too_slow)
        hub.join(stream, room, network_of(call.caller), peer_id)
        try:
            request.setHeader(b"Content-Type", b"text/event-stream")
            request.setHeader(b"Cache-Control", b"no-store")
            request.setHeader(b"X-Content-Type-Options", b"nosniff")
            # Some proxies gather what they pass on unless told so.
            request.setHeader(b"X-Accel-Buffering", b"no")
            if request.method == b"HEAD":
                return STREAMED
            last = call.header(b"Last-Event-ID")
            missed: list[Frame] | None = []
            if last:
                known = _SEQUENCE.fullmatch(last) is not None
                missed = hub.since(int(last), room) if known else None
            stream.begin(hub.sequence, missed, resumes=bool(last))
            if query.figures:
                self._sampler.join(stream)
            await stream.over
        finally:
            self._sampler.part(stream)
            hub.part(stream)
        return STREAMED

    @operation(
        "GET",
        "/v1/events",
        signed="optional",
        begins=True,
        problems=(Kind.NOT_LISTED, Kind.TOO_OFTEN),
    )
    async def events(self, call: Call, query: EventsQuery) -> Events:
        """
        What has changed, or changes within some seconds.

        Ask first without ``after``, then list the peers, then go on with ``after`` as ``next``
        says.
        """
        room, peer_id = await self._place(call)
        hub = self._hub
        after = hub.sequence if query.after is None else int(query.after)
        found = hub.since(after, room)
        if found == [] and query.wait > 0:
            wait = Wait(self._clock, query.wait)
            hub.join(wait, room, network_of(call.caller), peer_id)
            try:
                may_go_on = await wait.over
            finally:
                hub.part(wait)
            if not may_go_on:
                return Events([], str(after), False)
            found = hub.since(after, room)
        return RawEvents(  # type: ignore[return-value]  # Events, encoded already
            [Raw(frame.json) for frame in found or ()], str(hub.sequence), found is None
        )

    async def _place(
        self, call: Call, *, or_figures: bool = False
    ) -> tuple[str | None, str | None]:
        """
        In which room the asker listens, and its peer id.
        """
        asker = await call.asker_if_any()
        room, peer_id = (asker.room, asker.peer_id) if asker else (None, None)
        if self._policy.lists(room):
            return room, peer_id
        if or_figures:
            return NOWHERE, peer_id
        raise Refused.because(Kind.NOT_LISTED, "this server announces no peers to you")

    def _too_slow(self) -> None:
        self._hub.dropped += 1
