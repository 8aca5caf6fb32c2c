"""
What strangers may take can be changed while the daemon runs.
"""

from __future__ import annotations

from dataclasses import fields

from p2pnet.signaling.allowance import Rate
from p2pnet.signaling.limits import Limits


def test_whoever_holds_the_limits_or_a_rate_of_them_sees_the_new_values() -> None:
    limits, wanted = Limits(), Limits()
    held = limits.requests
    wanted.requests = Rate(7.0, 8)
    wanted.connections = 9
    limits.become(wanted)
    assert limits == wanted
    assert limits.requests is held
    assert (held.per_second, held.burst) == (7.0, 8)


def test_no_rate_is_shared_with_what_the_values_came_from() -> None:
    limits, wanted = Limits(), Limits()
    limits.become(wanted)
    for each in fields(limits):
        value = getattr(limits, each.name)
        assert not isinstance(value, Rate) or value is not getattr(wanted, each.name)
