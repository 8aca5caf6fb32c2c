"""
Every kind of NAT with every other: each pair meets for the first time, on the best path there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.natlab.lab import Lab, laboratory
from tests.natlab.plan import Kind, Side

KINDS: tuple[Kind, ...] = ("none", "full", "addr", "port", "symmetric")
CALLERS = dict(zip("abcde", KINDS, strict=True))
CALLEES = dict(zip("fghij", KINDS, strict=True))
IMPOSSIBLE = {("symmetric", "symmetric"), ("symmetric", "port"), ("port", "symmetric")}
"""No technique opens a direct path: nobody can know where the other side will be seen."""
DIRECTLY_WITHIN = 3.0
"""Seconds, on a machine that may be busy; ``benchmarks/reach.py`` measures."""
RELAYED_WITHIN = 5.0


@pytest.fixture(scope="module")
def lab(natlab: None) -> Iterator[Lab]:
    sides = {letter: Side(kind) for letter, kind in (CALLERS | CALLEES).items()}
    with laboratory(report=print, relay=True, **sides) as built:
        built.chats([f"{letter}1" for letter in sides])
        yield built


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        pytest.param(caller, callee, id=f"{CALLERS[caller]}-{CALLEES[callee]}")
        for caller, callee in product(CALLERS, CALLEES)
    ],
)
def test_two_people_talk_directly_wherever_that_is_possible(
    caller: str, callee: str, lab: Lab
) -> None:
    """
    Behind NATs both have the same private address, which leads nobody astray.
    """
    alice, bob = (lab.person(f"{side}1") for side in (caller, callee))
    pair = CALLERS[caller], CALLEES[callee]
    took = alice.connect(bob)
    alice.tell(bob, "hello")
    bob.tell(alice, "good to see you")
    if pair in IMPOSSIBLE:
        assert alice.is_relayed(bob), alice.why(bob)
        assert bob.is_relayed(alice), bob.why(alice)
        assert took < RELAYED_WITHIN
    else:
        assert alice.is_direct(bob), alice.why(bob)
        assert bob.is_direct(alice), bob.why(alice)
        assert took < DIRECTLY_WITHIN
    alice.part(bob)
