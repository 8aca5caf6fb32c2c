"""
What may be used once is used once.
"""

from __future__ import annotations

from twisted.internet.task import Clock

from p2pnet.signaling.nonces import Nonces


def test_a_nonce_is_good_once_and_forgotten_at_last() -> None:
    clock = Clock()
    nonces = Nonces(clock.seconds)
    assert nonces.spend("a", 60.0)
    clock.advance(59.9)
    assert not nonces.spend("a", 60.0)
    assert nonces.spend("b", 60.0)
    clock.advance(0.1)
    assert nonces.spend("a", 60.0)
    assert not nonces.spend("b", 60.0)


def test_memory_of_nonces_is_bounded_and_none_is_used_twice_for_it() -> None:
    clock = Clock()
    nonces = Nonces(clock.seconds, limit=10)
    for number in range(10):
        assert nonces.spend(str(number), 60.0)
    for number in range(20):
        assert not nonces.spend(str(number), 60.0)
    clock.advance(60)
    for number in range(10):
        assert nonces.spend(str(number), 60.0)
