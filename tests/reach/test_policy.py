"""
When a relay is opened.
"""

from __future__ import annotations

import pytest

from p2pnet.reach.agent import PATIENCE, Role
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.policy import RelayPolicy, relay_after

_EASY = NatMapping.ENDPOINT_INDEPENDENT
_HARD = (NatMapping.ADDRESS_DEPENDENT, NatMapping.ADDRESS_AND_PORT_DEPENDENT)


@pytest.mark.parametrize("role", Role)
def test_who_wants_nothing_but_a_relay_need_not_wait(role: Role) -> None:
    assert relay_after(RelayPolicy.ONLY, role, _EASY, _EASY) == 0


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("hard", _HARD)
def test_a_nat_that_can_not_be_foreseen_shortens_the_wait(role: Role, hard: NatMapping) -> None:
    usual = relay_after(RelayPolicy.FALLBACK, role, _EASY, _EASY)
    assert relay_after(RelayPolicy.FALLBACK, role, hard, _EASY) < usual
    assert relay_after(RelayPolicy.FALLBACK, role, _EASY, hard) < usual


@pytest.mark.parametrize("theirs", NatMapping)
def test_the_callee_leaves_the_caller_time_to_open_one(theirs: NatMapping) -> None:
    caller, callee = (
        relay_after(RelayPolicy.FALLBACK, role, NatMapping.UNKNOWN, theirs) for role in Role
    )
    assert caller + 1 < callee < PATIENCE / 2
