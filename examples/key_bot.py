"""
A bot without a screen: joins a server that wants a key, says something, repeats what it hears.

    python examples/key_bot.py --port 9050 --key SomeConnectionKey

It leaves after it has heard --messages messages.  If it is not let in, it tells why and ends with
exit status 1, so that a script can watch over a server.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from p2pnet.interfaces import (
    ConnectFailed,
    DeliveryMethod,
    DisconnectInfo,
    DisconnectReason,
    INetPeer,
    NotConnected,
)
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager


async def play(reactor: Any, options: argparse.Namespace) -> None:
    done: Deferred[None] = Deferred()
    heard = 0

    def received(peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod) -> None:
        nonlocal heard
        heard += 1
        print(f"heard {data!r}")
        if heard < options.messages:
            with contextlib.suppress(NotConnected):  # then `left` comes next
                peer.send(data)
        elif not done.called:
            done.callback(None)

    def left(peer: INetPeer, info: DisconnectInfo) -> None:
        # DISCONNECT_PEER_CALLED is our own goodbye.
        if info.reason is not DisconnectReason.DISCONNECT_PEER_CALLED and not done.called:
            done.errback(SystemExit(f"thrown out: {info.reason.name} {info.data!r}"))

    listener = EventBasedNetListener()
    listener.network_receive_event += received
    bot = NetManager(listener, reactor=reactor)
    bot.startService()
    reactor.addSystemEventTrigger("before", "shutdown", bot.stopService)
    try:
        server = await bot.connect((options.host, options.port), options.key)
    except ConnectFailed as error:
        raise SystemExit(f"not let in: {error.info.reason.name} {error.info.data!r}") from None
    listener.peer_disconnected_event += left

    print("joined")
    server.send(options.say.encode())
    await done
    print("leaving")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Join a server that wants a key.")
    parser.add_argument("--host", default="127.0.0.1", help="IP address (127.0.0.1)")
    parser.add_argument("--port", type=int, default=9050, help="UDP port (9050)")
    parser.add_argument("--key", default="SomeConnectionKey", help="what the server wants to hear")
    parser.add_argument("--say", default="hello, I am a bot", help="what to send first")
    parser.add_argument("--messages", type=int, default=3, help="leave after so many (3)")
    react(play, (parser.parse_args(),))
