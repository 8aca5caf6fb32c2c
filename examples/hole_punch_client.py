"""
Finds its partner through hole_punch_server.py and talks to it directly, NATs or not.

    python examples/hole_punch_client.py --server 203.0.113.9 --token our-secret --say "I am Ann"
    python examples/hole_punch_client.py --server 203.0.113.9 --token our-secret --say "I am Bob"

The token brings the two together and lets them in, so nobody else should know it.  It ends when the
partner leaves, or with Ctrl-C.
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from p2pnet.interfaces import (
    Address,
    DisconnectInfo,
    DisconnectReason,
    INetPeer,
    NatAddressType,
)
from p2pnet.net.listener import EventBasedNatPunchListener, EventBasedNetListener
from p2pnet.net.local import address_towards
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig


async def meet(reactor: Any, options: argparse.Namespace) -> None:
    over: Deferred[None] = Deferred()
    facilitator = (options.server, options.port)

    def ask() -> None:
        """
        Tell the facilitator that we wait; again and again, for datagrams get lost.
        """
        home = address_towards(options.server)
        client.nat.send_introduce_request(facilitator, options.token, (home, client.local_port))

    def way_found(target: Address, kind: NatAddressType, token: str) -> None:
        # The partner finds ours at the same time, and there may be one more.
        if asking.running:
            asking.stop()
            print(f"the way is open: {target}, {kind.name}")
            client.connect(target, token, peer_to_peer=True).addErrback(over.errback)

    def connected(peer: INetPeer) -> None:
        print(f"connected to {peer.address}")
        peer.send(options.say.encode())

    def left(peer: INetPeer, info: DisconnectInfo) -> None:
        # The other reasons: both dialled, and our attempt gave way to the partner's; our own
        # goodbye; an attempt that failed, which `connect` tells.
        if info.reason in (DisconnectReason.REMOTE_CONNECTION_CLOSE, DisconnectReason.TIMEOUT):
            print(f"the partner has gone: {info.reason.name}")
            if not over.called:
                over.callback(None)

    nat_listener = EventBasedNatPunchListener()
    nat_listener.nat_introduction_success_event += way_found
    listener = EventBasedNetListener()
    listener.connection_request_event += lambda request: request.accept_if_key(options.token)
    listener.peer_connected_event += connected
    listener.peer_disconnected_event += left
    listener.network_receive_event += lambda peer, data, channel, method: print(
        f"heard: {data.decode(errors='replace')!r}"
    )

    client = NetManager(listener, reactor=reactor, config=EndpointConfig(nat_punch_enabled=True))
    client.nat.init(nat_listener)
    client.startService()
    reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
    asking = LoopingCall(ask)
    asking.start(1.0).addErrback(over.errback)
    print("waiting for the partner")
    await over


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Talk to a partner, NATs or not.")
    parser.add_argument("--server", default="127.0.0.1", help="IP address of the hole punch server")
    parser.add_argument("--port", type=int, default=50010, help="its UDP port (50010)")
    parser.add_argument("--token", required=True, help="what both partners name")
    parser.add_argument("--say", default="hello", help="what to tell the partner")
    react(meet, (parser.parse_args(),))
