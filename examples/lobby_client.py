"""
Joins the lobby of lobby_server.py, says something, and prints what happens there.

    python examples/lobby_client.py --port 9050 --name Ann --say "hello everybody"

Ctrl-C leaves.
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lobby_packets import KEY, Chat, Join, Joined, Left, Players
from p2pnet.interfaces import ConnectFailed, DisconnectInfo, DisconnectReason, INetPeer
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.serialization import NetDataReader, NetPacketProcessor
from p2pnet.text import visible


async def visit(reactor: Any, options: argparse.Namespace) -> None:
    over: Deferred[None] = Deferred()

    def left(peer: INetPeer, info: DisconnectInfo) -> None:
        # DISCONNECT_PEER_CALLED is our own goodbye, at Ctrl-C.
        if info.reason is not DisconnectReason.DISCONNECT_PEER_CALLED:
            over.errback(SystemExit(f"thrown out: {visible(info.data.decode(errors='replace'))}"))

    # What others write is shown by `visible`: it could hold the control codes of a terminal.
    packets = NetPacketProcessor()
    packets.subscribe(Players, lambda told, _: print("there:", visible(", ".join(told.names))))
    packets.subscribe(Joined, lambda told, _: print(visible(f"{told.name} joined: {told.count}")))
    packets.subscribe(Left, lambda told, _: print(visible(f"{told.name} left: {told.count}")))
    packets.subscribe(Chat, lambda told, _: print(visible(f"{told.name}: {told.text}")))

    listener = EventBasedNetListener()
    listener.network_receive_event += lambda peer, data, channel, method: packets.read_all_packets(
        NetDataReader(data), peer
    )
    client = NetManager(listener, reactor=reactor)
    client.startService()
    reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
    try:
        server = await client.connect((options.host, options.port), KEY)
    except ConnectFailed as error:
        raise SystemExit(f"no connection: {error}") from None
    listener.peer_disconnected_event += left

    packets.send(server, Join(options.name))
    for text in options.say:
        packets.send(server, Chat("", text))
    await over


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Visit a lobby.")
    parser.add_argument("--host", default="127.0.0.1", help="IP address (127.0.0.1)")
    parser.add_argument("--port", type=int, default=9050, help="UDP port (9050)")
    parser.add_argument("--name", required=True, help="who you are")
    parser.add_argument("--say", action="append", default=[], metavar="TEXT", help="more than once")
    react(visit, (parser.parse_args(),))
