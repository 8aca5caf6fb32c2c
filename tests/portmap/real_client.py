"""
A `PortMapper` around a UDP port that answers ``hello NAME`` with ``NAME, hello``.

Prints a line of JSON whenever the mapping or the status changes.  Its argument is a JSON object of
options of `PortMapper`.  SIGTERM ends it as a daemon ends.
"""

from __future__ import annotations

import json
import secrets
import sys
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall

from p2pnet.net.local import address_towards
from p2pnet.portmap.mapper import PortMapper
from p2pnet.services.machine import MonotonicClock

reactor: Any = installed


class Echo(DatagramProtocol):
    """
    Turns two words around.
    """

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        first, second = datagram.split()
        assert self.transport is not None
        self.transport.write(second + b", " + first, addr)


def main() -> None:
    """
    Run until SIGTERM.
    """
    port: int = reactor.listenUDP(0, Echo()).getHost().port
    mapper = PortMapper(
        lambda: port,
        lambda mapped: None,
        reactor=reactor,
        clock=MonotonicClock(reactor),
        random=secrets.randbits,
        local_address=address_towards,
        **json.loads(sys.argv[1]),
    )
    said: list[dict[str, object]] = []

    def say() -> None:
        line: dict[str, object] = {"status": mapper.status, "mapped": mapper.mapped, "port": port}
        if said[-1:] != [line]:
            said[:] = [line]
            print(json.dumps(line), flush=True)

    reactor.callWhenRunning(mapper.startService)
    reactor.addSystemEventTrigger("before", "shutdown", mapper.stopService)
    LoopingCall(say).start(0.02)
    reactor.run()
    say()


if __name__ == "__main__":
    main()
