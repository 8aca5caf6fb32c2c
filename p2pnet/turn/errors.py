"""
What the TURN client raises to its caller.  Nothing that comes off the wire raises out of it.
"""

from __future__ import annotations


class TurnError(Exception):
    """
    A call that cannot be carried out.
    """


class NotAllocated(TurnError):
    """
    There is no allocation: not yet, or no longer.
    """


class TooManyPeers(TurnError):
    """
    As many IPs are permitted as may be; revoke one first.
    """
