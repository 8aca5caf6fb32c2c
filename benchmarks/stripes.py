"""
Stripes: 4 MiB in messages of 64 KiB, over 1, 4, 16 or 64 channels, with 50 ms one way.

The window of 64 datagrams is one channel's, so what one channel carries is bounded by the
round trip, and what a connection carries by the number of channels.  From the client's first send
to the server's listener hearing the last, as W3; nothing is lost.
"""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks.lossy import through
from benchmarks.side import Ears, Options, Side, say
from benchmarks.workload import Case, Match, Metric, Results, Workload

_DELAY: Final = 0.05
_PART: Final = 64 << 10
_HELLO: Final = b"here"


def serve(side: Side, options: Options) -> None:
    """
    Wait for all of it.
    """
    missing = int(options["size"])

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        nonlocal missing
        if data == _HELLO:
            side.reply(peer, data)
            return
        missing -= len(data)
        if not missing:
            say(received=time.monotonic())

    side.channels = int(options["channels"])
    say(port=side.listen(Ears(received=received)))


def dial(side: Side, options: Options) -> None:
    """
    Send it, channel after channel.
    """
    channels = int(options["channels"])

    def connected(peer: Any) -> None:
        side.later(options["settle"], lambda: side.reply(peer, _HELLO))

    def received(peer: Any, data: bytes, channel: int, method: Any) -> None:
        sent = time.monotonic()
        for number in range(int(options["size"]) // _PART):
            side.sender(peer, True, number % channels)(bytes(_PART))
        say(sent=sent)

    side.channels = channels
    side.dial(int(options["port"]), Ears(connected, received))


def play(match: Match) -> Results:
    """
    Measure.
    """
    link = through(_DELAY, 0.0, match.seed)
    server, client = match.play(match.options["patience"], link=link)
    return {"MB/s": match.options["size"] / (server["received"] - client["sent"]) / 1e6}


WORKLOAD = Workload(
    name="stripes",
    module="stripes",
    title="4 MiB over several channels, 50 ms one way",
    cases=[
        Case(
            f"{channels} {'channel' if channels == 1 else 'channels'}",
            {"channels": float(channels), "size": 4.0 * (1 << 20), "settle": 2.5, "patience": 60.0},
            {"size": float(1 << 17), "settle": 0.2},
        )
        for channels in (1, 4, 16, 64)
    ],
    metrics=[Metric("MB/s", "MB/s", 2, charted="more")],
    goals=[],
    play=play,
    takes=lambda contestant, case: contestant.name in ("p2pnet", "compiled", "enet"),
)
