"""
Sends messages to an echo server, one after the other, and tells how long each answer took.

    python examples/echo_client.py --port 9050 hello "how are you"
    python examples/echo_client.py --port 9050 --count 1000 x
"""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import Any

from twisted.internet.defer import DeferredQueue
from twisted.internet.task import react

from p2pnet.interfaces import (
    ConnectFailed,
    DisconnectInfo,
    DisconnectReason,
    INetPeer,
    NotConnected,
)
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager


async def talk(reactor: Any, options: argparse.Namespace) -> None:
    answers: DeferredQueue[bytes | DisconnectInfo] = DeferredQueue()

    def left(peer: INetPeer, info: DisconnectInfo) -> None:
        # DISCONNECT_PEER_CALLED is our own goodbye.
        if info.reason is not DisconnectReason.DISCONNECT_PEER_CALLED:
            answers.put(info)

    listener = EventBasedNetListener()
    listener.network_receive_event += lambda peer, data, channel, method: answers.put(data)
    listener.peer_disconnected_event += left

    client = NetManager(listener, reactor=reactor)
    client.startService()
    reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
    try:
        peer = await client.connect((options.host, options.port), options.key)
    except ConnectFailed as error:
        raise SystemExit(f"no connection: {error}") from None

    for message in options.messages * options.count:
        start = time.perf_counter()
        with contextlib.suppress(NotConnected):  # then the next answer tells why
            peer.send(message.encode())
        answer = await answers.get()
        if isinstance(answer, DisconnectInfo):
            raise SystemExit(f"the server has gone: {answer.reason.name}")
        took = time.perf_counter() - start
        print(f"{answer.decode(errors='replace')!r} came back after {took * 1000:.2f} ms")
    print(f"the engine measured a round trip of {peer.round_trip_time * 1000:.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send messages to an echo server.")
    parser.add_argument("--host", default="127.0.0.1", help="IP address (127.0.0.1)")
    parser.add_argument("--port", type=int, default=9050, help="UDP port (9050)")
    parser.add_argument("--key", default="SomeConnectionKey", help="what the server wants to hear")
    parser.add_argument("--count", type=int, default=1, help="send all messages so often (1)")
    parser.add_argument("messages", nargs="*", default=["hello"], metavar="MESSAGE")
    react(talk, (parser.parse_args(),))
