"""
A bare Klein app that says hello: what an HTTP request costs before anybody does anything.

It says its ``port``.
"""

from __future__ import annotations

from typing import Any, Final

from klein import Klein
from twisted.internet import reactor as _installed
from twisted.web.server import Request, Site

from benchmarks.rendezvous.facts import say

reactor: Any = _installed
app = Klein()
BODY: Final = b'{"hello":"world"}'


@app.route("/")
def hello(request: Request) -> bytes:
    """
    A small object.
    """
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Content-Length", b"%d" % len(BODY))
    return BODY


class QuietSite(Site):
    """
    Keeps no access log, as ours does not.
    """

    def log(self, request: object) -> None:
        pass


def main() -> None:
    """
    Serve for ever.
    """
    site = QuietSite(app.resource())  # type: ignore[no-untyped-call]  # Twisted leaves it bare
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    say(port=port.getHost().port)
    reactor.run()


if __name__ == "__main__":
    main()
