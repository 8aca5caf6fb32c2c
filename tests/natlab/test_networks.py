"""
Networks in networks, firewalls, blocked UDP, and pairs that no path leads between.
"""

from __future__ import annotations

import pytest

from tests.end_to_end.processes import until
from tests.natlab.lab import MakeLab
from tests.natlab.person import Person
from tests.natlab.plan import Kind, Side

RELAYED_WITHIN = 5.0
NAMED_WITHIN = 10.0
ONLINE_WITHOUT_UDP = 30.0


def meet(alice: Person, bob: Person) -> float:
    """
    A conversation with a line each way; how many seconds the first word took.
    """
    took = alice.connect(bob)
    alice.tell(bob, "hello")
    bob.tell(alice, "good to see you")
    return took


def meet_directly(alice: Person, bob: Person) -> None:
    meet(alice, bob)
    assert alice.is_direct(bob), alice.why(bob)
    assert bob.is_direct(alice), bob.why(alice)


def meet_by_relay(alice: Person, bob: Person) -> None:
    assert meet(alice, bob) < RELAYED_WITHIN
    assert alice.is_relayed(bob), alice.why(bob)
    assert bob.is_relayed(alice), bob.why(alice)


# ------------------------------------------------------------ one NAT for two, two for one


@pytest.mark.parametrize("kind", ["full", "port", "symmetric"])
@pytest.mark.parametrize("hairpin", [False, True])
def test_two_in_one_home_talk_inside_of_it(kind: Kind, hairpin: bool, make_lab: MakeLab) -> None:
    lab = make_lab(a=Side(kind, clients=2, hairpin=hairpin))
    alice, bob = lab.chats(["a1", "a2"])
    meet_directly(alice, bob)
    # If the router turns packets around, that way may be found before word of the other one comes.
    assert hairpin or "192.168.1.12" in alice.why(bob)


@pytest.mark.parametrize("hairpin", [False, True])
def test_two_homes_of_one_carrier_are_reached_only_if_it_lets_them(
    hairpin: bool, make_lab: MakeLab
) -> None:
    """
    Their routers are neighbours, but nobody knows by which address.
    """
    carrier = Side("port", hairpin=hairpin)
    lab = make_lab(relay=True, carrier=carrier, a=Side("port"), b=Side("port"))
    alice, bob = lab.chats(["a1", "b1"])
    if hairpin:
        meet_directly(alice, bob)
    else:
        meet_by_relay(alice, bob)


def test_behind_two_nats_each_the_stricter_one_counts(make_lab: MakeLab) -> None:
    lab = make_lab(
        relay=True,
        a=Side("port", carrier=Side("port")),
        b=Side("port", carrier=Side("full")),
        c=Side("port", carrier=Side("symmetric")),
    )
    alice, bob, carol = lab.chats(["a1", "b1", "c1"])
    meet_directly(alice, bob)
    meet_by_relay(carol, alice)


# ------------------------------------------------------------ firewalls, and what is blocked


def test_firewalls_open_to_who_is_written_to(make_lab: MakeLab) -> None:
    lab = make_lab(
        relay=True, a=Side("firewall"), b=Side("firewall"), c=Side("port"), d=Side("symmetric")
    )
    alice, bob, carol, dave = lab.chats(["a1", "b1", "c1", "d1"])
    meet_directly(alice, bob)
    meet_directly(carol, alice)
    meet_by_relay(dave, alice)
    meet_by_relay(bob, dave)


def test_where_udp_passes_one_way_only_a_relay_is_taken(make_lab: MakeLab) -> None:
    lab = make_lab(relay=True, a=Side("full"), b=Side("full"))
    alice, bob = lab.chats(["a1", "b1"])
    lab.internet.cut("ra", towards=lab.internet.address("rb"))
    meet_by_relay(alice, bob)


@pytest.mark.parametrize(
    "blocked",
    [
        Side("port", udp_in=False, udp_out=False),
        Side("none", udp_in=False),
        Side("port", udp_out=False),
    ],
    ids=["both ways", "inwards", "outwards"],
)
def test_where_no_udp_passes_people_are_reached_over_tcp(
    blocked: Side, make_lab: MakeLab
) -> None:
    lab = make_lab(relay=True, a=blocked, b=Side("port"), c=blocked)
    alice, bob, carol = lab.chats(["a1", "b1", "c1"], online_within=ONLINE_WITHOUT_UDP)
    meet_by_relay(alice, bob)
    meet_by_relay(bob, carol)
    meet_by_relay(carol, alice)


# ------------------------------------------------------------ no path


@pytest.mark.parametrize(("relay", "policy"), [(False, "fallback"), (True, "never")])
def test_that_there_is_no_path_is_said_in_time_with_the_reason(
    relay: bool, policy: str, make_lab: MakeLab
) -> None:
    lab = make_lab(relay=relay, a=Side("symmetric"), b=Side("symmetric"))
    alice, bob = lab.chats(["a1", "b1"], "--relay", policy)
    alice.type(f"/connect {bob.name}")
    assert "no path" in alice.read(f"cannot reach {bob.name}", NAMED_WITHIN)
    why = alice.why(bob)
    assert "both NATs give every partner another address" in why
    # The other side looks as long, and has begun within a moment.
    until(lambda: "symmetric" in bob.why(alice), "bob knows why, too")


def test_who_wants_no_direct_path_is_reached_by_relay_alone(make_lab: MakeLab) -> None:
    lab = make_lab(relay=True, a=Side("none"), b=Side("none"))
    alice = lab.chat("a1", "--relay", "only")
    bob = lab.chat("b1")
    meet_by_relay(alice, bob)
