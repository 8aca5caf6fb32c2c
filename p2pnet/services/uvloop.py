"""
The reactor that ``twistd --reactor uvloop`` installs: Twisted's asyncio reactor on uvloop's loop.
"""

from __future__ import annotations


def install() -> None:
    """
    Make it Twisted's reactor.

    :raise ImportError: uvloop is not installed.
    """
    try:
        import uvloop
    except ImportError as error:
        raise ImportError(
            "uvloop is not installed; pip install 'p2pnet[uvloop]' does that"
        ) from error
    from twisted.internet import asyncioreactor

    asyncioreactor.install(uvloop.new_event_loop())
