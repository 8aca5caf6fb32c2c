"""
Introduces two peers behind NATs to each other: those that name the same token.

    python examples/hole_punch_server.py --port 50010

It must run where both can reach it.  hole_punch_client.py uses it, and so does any LiteNetLib
program with ``NatPunchModule.SendNatIntroduceRequest(server, port, token)``.  Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from p2pnet.interfaces import Address
from p2pnet.net.listener import EventBasedNatPunchListener, EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig

MAX_WAITING = 1000
"""Anybody can ask, with any token: the oldest is forgotten for one more."""


async def introduce(reactor: Any, port: int) -> None:
    waiting: dict[str, tuple[Address, Address]] = {}

    def asked(internal: Address, external: Address, token: str) -> None:
        first = waiting.get(token)
        if first is None or first[1] == external:
            # Alone so far.  Who asks again may have moved inside its network.
            waiting[token] = internal, external
            if len(waiting) > MAX_WAITING:
                del waiting[next(iter(waiting))]
            return
        del waiting[token]
        print(f"introducing {first[1]} and {external}")
        server.nat.introduce(*first, internal, external, token)

    listener = EventBasedNatPunchListener()
    listener.nat_introduction_request_event += asked
    server = NetManager(
        EventBasedNetListener(),
        reactor=reactor,
        port=port,
        config=EndpointConfig(nat_punch_enabled=True),
    )
    server.nat.init(listener)
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    print(f"introducing on UDP port {server.local_port}")
    await Deferred()  # for ever


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Introduce two peers behind NATs.")
    parser.add_argument("--port", type=int, default=50010, help="UDP port; 0: any (50010)")
    react(introduce, (parser.parse_args().port,))
