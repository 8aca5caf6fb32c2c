"""
Two rendezvous on one Redis, all of them real processes: either may go, and so may the Redis.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.processes import Console, Daemon, free_port, until
from tests.end_to_end.servers import Answer, ask, registration
from tests.end_to_end.world import World, meet
from tests.signaling.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

MOVED = 15.0
"""Seconds in which the peers of a rendezvous that was killed are with another: 5 until the engine
notices, and the rest for a busy machine."""
LEASE = 6
"""Seconds; an outage that lasts longer must not cost anybody anything."""


class Twins(World):
    """
    Two rendezvous, A and B, that share a Redis.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.redis = RedisServer()
        self.ports = {"a": free_port(), "b": free_port()}
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        self.url = self.urls["b"]
        self.twins: dict[str, Daemon] = {}

    def begin(self) -> None:
        self.twins = {name: self._twin(name) for name in self.ports}

    def _twin(self, name: str) -> Daemon:
        return self.rendezvous(
            f"--registry=redis:unix={self.redis.path}",
            f"--lease={LEASE}",
            name=name,
            http=self.ports[name],
        )

    def peer_of(self, name: str, *servers: str) -> tuple[Daemon, Console]:
        """
        Somebody who knows these, and begins with the first.
        """
        return self.chat(name, "--server", ",".join(self.urls[server] for server in servers))

    def both_at_b(self) -> bool:
        """
        Two peers are associated with B.
        """
        nats: dict[str, int] = self.asked("b", "/status").json["nat"]
        return sum(nats.values()) == 2

    def asked(self, server: str, path: str, method: str = "GET", body: object = None) -> Answer:
        answer = ask(self.ports[server], path, method=method, body=body)
        assert answer is not None, f"{server} does not listen"
        return answer

    def close(self) -> None:
        super().close()
        self.redis.close()


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    twins = Twins(tmp_path)
    try:
        twins.begin()
        yield twins
    finally:
        twins.close()


def test_who_is_at_one_is_introduced_through_the_other_and_moves_there_when_its_own_is_killed(
    twins: Twins,
) -> None:
    (_, alice), (_, bob) = twins.peer_of("alice", "a", "b"), twins.peer_of("bob", "b", "a")
    assert twins.peer("alice", twins.urls["a"]) == twins.peer("alice", twins.urls["b"]) is not None
    meet(bob, alice, "alice")
    bob.type("from B to A")
    alice.read("<bob> from B to A")
    alice.type("/msg bob and back")
    bob.read("<alice> and back")
    alice.type("/disconnect bob")
    bob.read("alice left")

    twins.twins["a"].kill()
    killed = time.monotonic()
    until(twins.both_at_b, "alice is with B", timeout=MOVED)
    print(f"alice was with B {time.monotonic() - killed:.1f} s after A was killed")
    meet(bob, alice, "alice")
    alice.type("/msg bob by way of B alone")
    bob.read("<alice> by way of B alone")


def test_who_is_told_to_go_elsewhere_is_there_before_its_own_is_gone(twins: Twins) -> None:
    (_, alice), (_, bob) = twins.peer_of("alice", "a", "b"), twins.peer_of("bob", "b")
    assert twins.twins["a"].terminate() < 2
    assert "1 of 1 have left" in twins.twins["a"].output()
    until(twins.both_at_b, "alice is with B", timeout=3)
    meet(alice, bob, "bob")


def test_while_redis_is_away_nothing_is_lost_and_new_things_are_put_off(twins: Twins) -> None:
    (_, alice), (_, bob) = twins.peer_of("alice", "a"), twins.peer_of("bob", "b")
    meet(alice, bob, "bob")
    twins.redis.stop()
    stopped = time.monotonic()

    def refusal() -> Answer | None:
        answer = twins.asked("a", "/register", "POST", registration("carol"))
        return answer if answer.status != 200 else None

    refused = until(refusal, "A notices")
    assert refused.status == 503
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0
    for server in ("a", "b"):
        ready = twins.asked(server, "/readyz")
        assert (ready.status, ready.json["detail"]) == (503, "the registry does not answer")
        assert twins.asked(server, "/healthz").status == 200
    alice.type("/msg bob we do not need it to talk")
    bob.read("<alice> we do not need it to talk")
    alice.type("/peers")
    alice.read("cannot list")
    # It is away for longer than a lease.
    until(lambda: time.monotonic() - stopped > LEASE + 1, "the leases end", timeout=LEASE + 10)

    twins.redis.start()
    for name in ("alice", "bob"):
        until(partial(twins.peer, name, twins.urls["a"]), f"{name} is there again")
    assert twins.asked("a", "/readyz").status == twins.asked("b", "/readyz").status == 200
    assert "offline" not in " ".join(alice.lines + bob.lines), "their associations stood"
    alice.type("/disconnect bob")
    bob.read("alice left")
    meet(bob, alice, "alice")
