"""
A game loop with a fixed time step, and no reactor in it.

    python examples/game_loop.py --port 9050
    python examples/game_loop.py --connect 127.0.0.1:9050 --seconds 4

The first is the host.  It moves every player and tells each where it is, 30 times a second.  The
second is a player, who runs to the right for half of its time and then back.  Ctrl-C ends either.
"""

from __future__ import annotations

import argparse
import contextlib
import struct
import time
from collections.abc import Callable

from p2pnet.interfaces import Address, DeliveryMethod, INetPeer
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manual import ManualNetManager

STEP = 1 / 30
"""Seconds of the game in one turn of the loop, however long the turn takes."""
SPEED = 2.0
"""Steps to the side in a second."""
KEY = "GameLoop"

WISH = struct.Struct("<b")
"""What a player wants: -1 is left, 1 is right."""
PLACE = struct.Struct("<If")
"""What the host tells: number of the step, where the player is."""


def loop(manager: ManualNetManager, step: Callable[[], bool]) -> None:
    """
    Take what has come, move the game by one step, send what is to be sent; until `step` is false.
    """
    due = time.monotonic()
    manager.start()
    try:
        more = True
        while more:
            manager.receive()
            manager.poll()  # calls the listener
            more = step()
            manager.update()
            due += STEP
            # A turn that took too long is made up for by the next ones.
            time.sleep(max(0.0, due - time.monotonic()))
    finally:
        manager.stop()


def host(port: int) -> None:
    """
    Move all players.
    """
    places: dict[INetPeer, float] = {}
    wishes: dict[INetPeer, int] = {}
    number = 0

    def joined(peer: INetPeer) -> None:
        places[peer] = 0.0
        wishes[peer] = 0
        print(f"player {peer.id} joined")

    def received(peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod) -> None:
        if len(data) == WISH.size:
            (wish,) = WISH.unpack(data)
            wishes[peer] = max(-1, min(wish, 1))  # whoever wishes to fly, walks

    def left(peer: INetPeer, *_: object) -> None:
        print(f"player {peer.id} left at {places.pop(peer):.2f}")

    def step() -> bool:
        nonlocal number
        number += 1
        for peer in places:
            places[peer] += wishes[peer] * SPEED * STEP
            # A place that comes late is of no use, so it need not be repeated.
            peer.send(PLACE.pack(number, places[peer]), DeliveryMethod.SEQUENCED)
        return True

    listener = EventBasedNetListener()
    listener.connection_request_event += lambda request: request.accept_if_key(KEY)
    listener.peer_connected_event += joined
    listener.peer_disconnected_event += left
    listener.network_receive_event += received
    print(f"hosting on UDP port {port}")
    loop(ManualNetManager(listener, port=port), step)


def play(address: Address, seconds: float) -> None:
    """
    Run to the right and back.
    """
    steps = round(seconds / STEP)
    gone: list[str] = []
    played = 0
    farthest = 0.0

    def received(peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod) -> None:
        nonlocal farthest
        if len(data) == PLACE.size:
            number, place = PLACE.unpack(data)
            farthest = max(farthest, place)
            if number % 15 == 0:
                print(f"step {number}: at {place:.2f}")

    def step() -> bool:
        nonlocal played
        if manager.peers:
            played += 1
            wish = 1 if played <= steps / 2 else -1
            manager.send_to_all(WISH.pack(wish), DeliveryMethod.SEQUENCED)
        elif not played and not gone:
            return True  # not connected yet
        return played < steps and not gone

    listener = EventBasedNetListener()
    listener.network_receive_event += received
    listener.peer_disconnected_event += lambda peer, info: gone.append(info.reason.name)
    manager = ManualNetManager(listener)
    manager.start()
    manager.connect(address, KEY)
    loop(manager, step)
    if gone:
        raise SystemExit(f"the host is not there: {gone[0]}")
    print(f"played {played} steps, got as far as {farthest:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A game loop without a reactor.")
    parser.add_argument("--port", type=int, default=9050, help="UDP port of the host (9050)")
    parser.add_argument("--connect", metavar="IP:PORT", help="play there instead of hosting")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to play (4)")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        if options.connect:
            ip, _, number = options.connect.rpartition(":")
            play((ip.strip("[]"), int(number)), options.seconds)
        else:
            host(options.port)
