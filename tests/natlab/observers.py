"""
What a NAT does with UDP, found out from inside with the help of three sockets outside.

``observers.py serve`` answers on three sockets of the servers' host.  ``observers.py ask [COUNT]``
asks them, and prints what came back as JSON.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any, Final

from tests.natlab.plan import SERVER, SERVER2

PLACES: Final = ((SERVER, 7001), (SERVER, 7002), (SERVER2, 7001))
TRIES: Final = 3
PATIENCE: Final = 0.2
"""Seconds for an answer: on a machine that is busy for longer a NAT looks stricter than it is."""


def serve() -> None:
    """
    Tell who asks where it is seen, from the place that it names.
    """
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in PLACES]
    with selectors.DefaultSelector() as selector:
        for place, each in zip(PLACES, sockets, strict=True):
            each.bind(place)
            selector.register(each, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                asked: Any = key.fileobj
                data, source = asked.recvfrom(100)
                host, port = source
                sockets[int(data)].sendto(f"{host}:{port}".encode(), source)


def ask(asking: socket.socket, place: int, from_place: int) -> str | None:
    """
    Where place number `place` sees us, if its word from `from_place` reaches us.
    """
    asking.settimeout(PATIENCE)
    for _ in range(TRIES):
        asking.sendto(str(from_place).encode(), PLACES[place])
        try:
            while True:
                data, source = asking.recvfrom(100)
                if source == PLACES[from_place]:
                    return data.decode()
        except TimeoutError:
            continue
    return None


def look() -> dict[str, object]:
    """
    How we are seen, and whether those can write to us whom we have not written to.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mapping,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as filtering,
    ):
        seen = [ask(mapping, place, place) for place in range(len(PLACES))]
        ask(filtering, 0, 0)
        return {
            "seen": seen,
            "port": mapping.getsockname()[1],
            "from_other_port": ask(filtering, 0, 1) is not None,
            "from_other_host": ask(filtering, 0, 2) is not None,
        }


def flood(count: int) -> dict[str, object]:
    """
    How many of so many questions are answered, and the fastest answer in seconds.
    """
    fastest, answered = 1e9, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _ in range(count):
            began = time.monotonic()
            asking.sendto(b"0", PLACES[0])
            # An answer that is later is counted as another's, or lost; who floods wants shares.
            asking.settimeout(PATIENCE if count < 100 else 0.002)
            try:
                asking.recv(100)
            except TimeoutError:
                continue
            fastest = min(fastest, time.monotonic() - began)
            answered += 1
    return {"answered": answered, "fastest": fastest}


def main() -> None:
    """
    Do one of the two.
    """
    if sys.argv[1] == "serve":
        serve()
    print(json.dumps(flood(int(sys.argv[2])) if sys.argv[2:] else look()))


if __name__ == "__main__":
    main()
