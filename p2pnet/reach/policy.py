"""
When to go through a relay.
"""

from __future__ import annotations

from enum import Enum

from p2pnet.reach.agent import Role
from p2pnet.reach.mapping import NatMapping

_UNLIKELY: tuple[NatMapping, ...] = (
    NatMapping.ADDRESS_DEPENDENT,
    NatMapping.ADDRESS_AND_PORT_DEPENDENT,
)
_AFTER = {Role.CALLER: 1.0, Role.CALLEE: 2.5}
"""Seconds.  One side's relay is enough; the callee's is for a caller that has none."""
_AFTER_IF_UNLIKELY = {Role.CALLER: 0.3, Role.CALLEE: 1.8}


class RelayPolicy(Enum):
    """
    When to go through a relay.
    """

    NEVER = "never"
    FALLBACK = "fallback"
    """When no direct path has opened in time."""
    ONLY = "only"
    """Always, even where a direct path would open."""


def relay_after(policy: RelayPolicy, role: Role, ours: NatMapping, theirs: NatMapping) -> float:
    """
    Seconds after the start of a search at which to open a relay, if no direct path is proven.

    Earlier if one of the NATs gives each partner another port: most such pairs have no other way.
    """
    if policy is RelayPolicy.ONLY:
        return 0.0
    unlikely = ours in _UNLIKELY or theirs in _UNLIKELY
    return (_AFTER_IF_UNLIKELY if unlikely else _AFTER)[role]
