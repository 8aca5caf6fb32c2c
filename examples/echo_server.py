"""
Sends everything back, to whoever knows the key.

    python examples/echo_server.py --port 9050

echo_client.py talks to it, and so does any LiteNetLib program.  Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from p2pnet.interfaces import DeliveryMethod, INetPeer, NotConnected
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager


def received(peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod) -> None:
    with contextlib.suppress(NotConnected):  # said something and left
        peer.send(data, method, channel)


async def serve(reactor: Any, port: int, key: str) -> None:
    listener = EventBasedNetListener()
    listener.connection_request_event += lambda request: request.accept_if_key(key)
    listener.peer_connected_event += lambda peer: print(f"{peer.address} has come")
    listener.peer_disconnected_event += lambda peer, info: print(
        f"{peer.address} has gone: {info.reason.name}"
    )
    listener.network_receive_event += received

    server = NetManager(listener, reactor=reactor, port=port)
    server.startService()
    # Says goodbye to all peers before the process ends.
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print(f"echoing on UDP port {server.local_port}")
    await Deferred()  # for ever


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send everything back.")
    parser.add_argument("--port", type=int, default=9050, help="UDP port; 0: any (9050)")
    parser.add_argument("--key", default="SomeConnectionKey", help="what clients must know")
    options = parser.parse_args()
    react(serve, (options.port, options.key))
