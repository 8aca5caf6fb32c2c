"""
An internet in memory behaves like one, and the same way every time.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import (
    AlreadyCalled,
    AlreadyCancelled,
    CannotListenError,
    InvalidAddressError,
    MessageLengthError,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from zope.interface.verify import verifyObject

from p2pnet.interfaces import Address
from p2pnet.testing import Host, Network
from p2pnet.testing.network import MAX_CALLS_AT_ONE_INSTANT, Conditions, Fate, Port

ALICE = "10.0.0.1"
BOB = "10.0.0.2"
BOB_PORT = (BOB, 9050)


class Notebook(DatagramProtocol):
    """
    Writes down what happens to it.
    """

    noisy = False

    def __init__(self, host: Host) -> None:
        self.host = host
        self.received: list[tuple[float, bytes, Address]] = []
        self.life: list[str] = []

    def startProtocol(self) -> None:
        self.life.append("started")

    def stopProtocol(self) -> None:
        self.life.append("stopped")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append((self.host.seconds(), datagram, addr))

    @property
    def payloads(self) -> list[bytes]:
        return [data for _, data, _ in self.received]


class Echo(Notebook):
    """
    Answers everything with itself.
    """

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        self.transport.write(datagram, addr)


class Pair:
    """
    Alice on port 9050, and Bob too, writing everything down.
    """

    def __init__(self, network: Network, alice: str = ALICE, bob: str = BOB) -> None:
        self.network = network
        self.alice = Notebook(network.host(alice))
        self.bob = Notebook(network.host(bob))
        self.alice_port = network.host(alice).listenUDP(9050, self.alice)
        self.bob_port = network.host(bob).listenUDP(9050, self.bob)
        self.fates: list[Fate] = []
        network.tap(lambda time, source, target, data, fate: self.fates.append(fate))

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.alice_port.write(payload, (self.bob.host.address, 9050))

    def reply(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.bob_port.write(payload, (self.alice.host.address, 9050))


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


# ---------------------------------------------------------------- delivery


def test_a_datagram_arrives_with_the_address_of_its_sender() -> None:
    pair = Pair(Network(seed=1))
    pair.send(b"hello")
    assert pair.bob.received == [], "nothing moves before the network runs"
    pair.network.settle()
    assert pair.bob.received == [(0.0, b"hello", (ALICE, 9050))]


def test_latency_is_one_way() -> None:
    network = Network(seed=1, latency=0.25)
    pair = Pair(network)
    pair.send(b"a")
    network.run(0.2499)
    assert pair.bob.received == []
    network.run(1)
    assert pair.bob.received == [(0.25, b"a", (ALICE, 9050))]
    assert network.seconds() == pytest.approx(1.2499)


def test_jitter_spreads_arrivals_over_its_whole_width() -> None:
    pair = Pair(Network(seed=2, latency=1.0, jitter=0.5))
    pair.send(*numbered(1000))
    pair.network.run(2)
    times = [time for time, _, _ in pair.bob.received]
    assert len(times) == 1000
    assert 1.0 <= times[0] < 1.01
    assert 1.49 < times[-1] <= 1.5
    assert pair.bob.payloads != numbered(1000), "jitter overtakes"


def test_without_jitter_datagrams_stay_in_order() -> None:
    pair = Pair(Network(seed=2, latency=0.1))
    for payload in numbered(100):
        pair.send(payload)
        pair.network.run(0.001)
    pair.network.run(1)
    assert pair.bob.payloads == numbered(100)


def test_loss_takes_its_share() -> None:
    pair = Pair(Network(seed=3, loss=0.2))
    pair.send(*numbered(10_000))
    pair.network.settle()
    assert len(pair.bob.received) == pytest.approx(8000, abs=200)
    assert pair.fates.count(Fate.LOST) == 10_000 - len(pair.bob.received)


@pytest.mark.parametrize(("loss", "arriving"), [(0.0, 1000), (1.0, 0)])
def test_loss_of_nothing_and_of_everything_is_exact(loss: float, arriving: int) -> None:
    pair = Pair(Network(seed=3, loss=loss))
    pair.send(*numbered(1000))
    pair.network.settle()
    assert len(pair.bob.received) == arriving


def test_duplicates_arrive_beside_the_original() -> None:
    pair = Pair(Network(seed=4, duplicate=0.1))
    pair.send(*numbered(10_000))
    pair.network.settle()
    copies = Counter(pair.bob.payloads)
    assert set(copies.values()) == {1, 2}
    assert pair.fates.count(Fate.DELIVERED) == 10_000
    assert pair.fates.count(Fate.DUPLICATED) == pytest.approx(1000, abs=150)
    assert len(pair.bob.received) == 10_000 + pair.fates.count(Fate.DUPLICATED)


def test_reordered_datagrams_are_overtaken_by_those_behind_them() -> None:
    pair = Pair(Network(seed=5, latency=0.1, reorder=0.3, reorder_delay=0.05))
    pair.send(*numbered(1000))
    pair.network.run(1)
    assert sorted(pair.bob.payloads) == numbered(1000)
    late = [time for time, _, _ in pair.bob.received if time > 0.1]
    assert late == [pytest.approx(0.15)] * len(late)
    assert len(late) == pytest.approx(300, abs=60)


def test_a_datagram_above_the_mtu_vanishes_in_silence() -> None:
    pair = Pair(Network(seed=6, mtu=1400))
    pair.send(bytes(1400), bytes(1401))
    pair.network.settle()
    assert pair.bob.payloads == [bytes(1400)]
    assert sorted(fate.name for fate in pair.fates) == ["DELIVERED", "TOO_BIG"]


def test_what_comes_to_nobody_vanishes_in_silence() -> None:
    pair = Pair(Network(seed=7))
    pair.alice_port.write(b"no such host", ("10.9.9.9", 9050))
    pair.alice_port.write(b"no such port", (BOB, 9051))
    pair.network.settle()
    assert pair.fates == [Fate.NOWHERE, Fate.NOWHERE]


def test_a_host_can_write_to_itself() -> None:
    network = Network(seed=7)
    pair = Pair(network)
    other = Notebook(network.host(ALICE))
    network.host(ALICE).listenUDP(9051, other)
    pair.alice_port.write(b"self", (ALICE, 9051))
    network.settle()
    assert other.received == [(0.0, b"self", (ALICE, 9050))]


def test_the_sender_may_use_its_buffer_again() -> None:
    pair = Pair(Network(seed=7))
    buffer = bytearray(b"first")
    pair.alice_port.write(memoryview(buffer)[:], BOB_PORT)  # type: ignore[arg-type]  # as engines do
    buffer[:] = b"other"
    pair.network.settle()
    assert pair.bob.payloads == [b"first"]
    assert type(pair.bob.payloads[0]) is bytes


# ---------------------------------------------------------------- links, partitions, hooks


def test_a_link_can_be_changed_in_one_direction() -> None:
    network = Network(seed=8, latency=0.1, mtu=600)
    pair = Pair(network)
    network.link(ALICE, BOB, latency=0.4, one_way=True)
    pair.send(b"there")
    pair.reply(b"back")
    network.run(1)
    assert [time for time, _, _ in pair.bob.received] == [0.4]
    assert [time for time, _, _ in pair.alice.received] == [0.1]


def test_a_link_changes_both_directions_and_keeps_what_is_not_named() -> None:
    network = Network(seed=8, latency=0.1)
    pair = Pair(network)
    network.link(ALICE, BOB, mtu=600)
    network.link(BOB, ALICE, latency=0.2)
    pair.send(bytes(600), bytes(601))
    pair.reply(bytes(600), bytes(601))
    network.run(1)
    assert [time for time, _, _ in pair.bob.received + pair.alice.received] == [0.2, 0.2]
    assert pair.bob.payloads == pair.alice.payloads == [bytes(600)]


def test_a_link_leaves_other_links_alone() -> None:
    network = Network(seed=8)
    network.link(ALICE, "10.0.0.3", loss=1.0)
    pair = Pair(network)
    pair.send(b"x")
    network.settle()
    assert pair.bob.payloads == [b"x"]


def test_a_partition_holds_until_it_is_healed() -> None:
    network = Network(seed=9)
    pair = Pair(network)
    network.partition(BOB, ALICE)
    pair.send(b"lost")
    pair.reply(b"lost")
    network.heal(ALICE, BOB)
    pair.send(b"through")
    pair.reply(b"through")
    network.settle()
    assert pair.bob.payloads == pair.alice.payloads == [b"through"]


def test_a_partition_does_not_stop_what_is_under_way() -> None:
    network = Network(seed=9, latency=0.1)
    pair = Pair(network)
    pair.send(b"early")
    network.run(0.05)
    network.partition(ALICE, BOB)
    network.run(1)
    assert pair.bob.payloads == [b"early"]


def test_exactly_one_datagram_can_be_lost() -> None:
    network = Network(seed=10)
    pair = Pair(network)

    def the_first(source: Address, target: Address, data: bytes) -> bool:
        hook.remove()
        return (source, target, data) == ((ALICE, 9050), BOB_PORT, b"a")

    hook = network.drop_if(the_first)
    pair.send(b"a", b"a", b"b")
    network.settle()
    assert pair.bob.payloads == [b"a", b"b"]
    hook.remove()


def test_every_predicate_is_asked_about_every_datagram() -> None:
    network = Network(seed=10, loss=1.0)
    pair = Pair(network)
    asked: list[str] = []

    def predicate(name: str) -> Callable[..., bool]:
        def ask(*datagram: object) -> bool:
            asked.append(name)
            return True

        return ask

    network.drop_if(predicate("first"))
    network.drop_if(predicate("second"))
    pair.send(b"a", b"b")
    assert asked == ["first", "second"] * 2
    assert pair.fates == [Fate.LOST] * 2


def test_a_tap_sees_time_ends_data_and_fate_until_it_is_removed() -> None:
    network = Network(seed=11, latency=0.5, mtu=100)
    pair = Pair(network)
    seen: list[tuple[float, Address, Address, bytes, Fate]] = []
    tap = network.tap(lambda *args: seen.append(args))
    network.run(1)
    pair.send(b"x", bytes(101))
    network.run(1)
    source = (ALICE, 9050)
    assert seen == [
        (1.0, source, BOB_PORT, bytes(101), Fate.TOO_BIG),
        (1.5, source, BOB_PORT, b"x", Fate.DELIVERED),
    ]
    tap.remove()
    pair.send(b"y")
    network.run(1)
    assert len(seen) == 2


# ---------------------------------------------------------------- hosts and ports


def test_host_port_and_call_provide_what_twisted_asks_for() -> None:
    pair = Pair(Network(seed=12))
    host = pair.network.host(ALICE)
    assert verifyObject(IReactorUDP, host)
    assert verifyObject(IReactorTime, host)
    assert verifyObject(IListeningPort, pair.alice_port)
    assert verifyObject(IUDPTransport, pair.alice_port)
    assert verifyObject(IDelayedCall, host.callLater(1, int))
    assert pair.alice.transport is pair.alice_port


def test_the_same_address_is_the_same_host() -> None:
    network = Network(seed=12)
    assert network.host("fd00::1") is network.host("fd00:0:0::0001")
    assert network.host(ALICE) is not network.host(BOB)
    with pytest.raises(ValueError, match=r"10\.0\.0\.3"):
        network.host(ALICE, "10.0.0.3")
    with pytest.raises(ValueError, match="addresses of one host"):
        network.host()


@pytest.mark.parametrize("address", ["localhost", "", "10.0.0", "10.0.0.01", "10.0.0.1:80"])
def test_only_literal_addresses_are_addresses(address: str) -> None:
    pair = Pair(Network(seed=12))
    calls: list[Callable[[], object]] = [
        lambda: pair.network.host(address),
        lambda: pair.network.link(ALICE, address, loss=1.0),
        lambda: pair.network.partition(address, BOB),
        lambda: pair.alice_port.write(b"x", (address, 9050)),
    ]
    for call in calls:
        with pytest.raises(InvalidAddressError):
            call()


def test_port_zero_picks_a_free_port_each_time() -> None:
    host = Network(seed=13).host(ALICE)
    host.listenUDP(49153, Notebook(host))
    ports = [host.listenUDP(0, Notebook(host)).getHost().port for _ in range(3)]
    assert ports == [49152, 49154, 49155]


def test_port_zero_fails_when_every_ephemeral_port_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("p2pnet.testing.host.EPHEMERAL_PORTS", range(65534, 65536))
    host = Network(seed=13).host(ALICE)
    ports = [host.listenUDP(0, Notebook(host)) for _ in range(2)]
    with pytest.raises(CannotListenError):
        host.listenUDP(0, Notebook(host))
    ports[0].stopListening()
    host.network.settle()
    assert host.listenUDP(0, Notebook(host)).getHost().port == 65534


def test_a_taken_port_cannot_be_bound_and_starts_no_protocol() -> None:
    pair = Pair(Network(seed=13))
    late = Notebook(pair.alice.host)
    with pytest.raises(CannotListenError, match="9050"):
        pair.alice.host.listenUDP(9050, late)
    with pytest.raises(CannotListenError):
        pair.alice.host.listenUDP(9050, late, interface=ALICE)
    assert late.life == []


def test_a_foreign_interface_cannot_be_bound() -> None:
    host = Network(seed=13).host(ALICE)
    for interface in (BOB, "::", "fd00::1"):
        with pytest.raises(CannotListenError, match="assign"):
            host.listenUDP(9050, Notebook(host), interface=interface)
    with pytest.raises(InvalidAddressError):
        host.listenUDP(9050, Notebook(host), interface="localhost")


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_beyond_the_range_is_refused(port: int) -> None:
    pair = Pair(Network(seed=13))
    with pytest.raises(OverflowError, match=str(port)):
        pair.alice.host.listenUDP(port, Notebook(pair.alice.host))
    with pytest.raises(OverflowError, match=str(port)):
        pair.alice_port.write(b"x", (BOB, port))


def test_write_refuses_what_a_socket_refuses() -> None:
    pair = Pair(Network(seed=13))
    with pytest.raises(MessageLengthError):
        pair.alice_port.write(bytes(65508), BOB_PORT)
    with pytest.raises(OSError, match="Invalid argument"):
        pair.alice_port.write(b"x", (BOB, 0))
    with pytest.raises(InvalidAddressError):
        pair.alice_port.write(b"x", ("fd00::2", 9050))
    with pytest.raises(TypeError):
        pair.alice_port.write("text", BOB_PORT)  # type: ignore[arg-type]  # the point
    with pytest.raises(ValueError, match="address"):
        pair.alice_port.write(b"x")
    with pytest.raises(NotImplementedError):
        pair.alice_port.connect(BOB, 9050)
    pair.network.settle()
    assert pair.fates == []


def test_get_host_says_what_the_port_is_bound_to() -> None:
    host = Network(seed=13).host(ALICE, "fd00::1")

    def bound(port: int, interface: str) -> IPv4Address | IPv6Address:
        return host.listenUDP(port, Notebook(host), interface=interface).getHost()

    assert bound(1, "") == IPv4Address("UDP", "0.0.0.0", 1)
    assert bound(2, ALICE) == IPv4Address("UDP", ALICE, 2)
    assert bound(1, "::") == IPv6Address("UDP", "::", 1)
    assert bound(0, "fd00::1") == IPv6Address("UDP", "fd00::1", 49152)


def test_ipv6_hosts_talk_however_their_addresses_are_spelled() -> None:
    pair = Pair(Network(seed=14), "fd00::1", "fd00::2")
    pair.alice_port.write(b"v6", ("fd00:0:0::2%eth0", 9050))
    pair.network.settle()
    assert pair.bob.received == [(0.0, b"v6", ("fd00::1", 9050))]
    with pytest.raises(InvalidAddressError):
        pair.alice_port.write(b"v4", BOB_PORT)


def test_a_port_on_all_interfaces_receives_on_each_and_sends_from_the_first() -> None:
    network = Network(seed=14)
    pair = Pair(network)
    many = Notebook(network.host("10.0.1.1", "10.0.1.2"))
    port = many.host.listenUDP(9050, many)
    pair.alice_port.write(b"1", ("10.0.1.1", 9050))
    pair.alice_port.write(b"2", ("10.0.1.2", 9050))
    port.write(b"3", BOB_PORT)
    network.settle()
    assert many.payloads == [b"1", b"2"]
    assert pair.bob.received == [(0.0, b"3", ("10.0.1.1", 9050))]


def test_a_port_on_one_interface_leaves_the_others_free() -> None:
    network = Network(seed=14)
    host = network.host("10.0.1.1", "10.0.1.2")
    first, second = Notebook(host), Notebook(host)
    host.listenUDP(9050, first, interface="10.0.1.1")
    host.listenUDP(9050, second, interface="10.0.1.2")
    pair = Pair(network)
    pair.alice_port.write(b"x", ("10.0.1.2", 9050))
    network.settle()
    assert (first.payloads, second.payloads) == ([], [b"x"])


def test_a_datagram_above_max_packet_size_is_cut_off() -> None:
    network = Network(seed=14)
    pair = Pair(network)
    short = Notebook(network.host("10.0.0.3"))
    short.host.listenUDP(9050, short, maxPacketSize=3)
    pair.alice_port.write(b"12345", ("10.0.0.3", 9050))
    network.settle()
    assert short.payloads == [b"123"]


def test_a_stopped_port_hears_nothing_but_may_say_goodbye() -> None:
    network = Network(seed=15)
    pair = Pair(network)
    assert pair.bob.life == ["started"]
    pair.send(b"too late")
    fired: list[str] = []
    for _ in range(2):
        pair.bob_port.stopListening().addCallback(lambda _: fired.append(",".join(pair.bob.life)))
    pair.reply(b"goodbye")
    assert fired == []
    network.settle()
    assert fired == ["started,stopped"] * 2
    assert pair.bob.transport is None
    assert (pair.bob.payloads, pair.alice.payloads) == ([], [b"goodbye"])
    assert pair.fates.count(Fate.NOWHERE) == 1


def test_a_closed_port_is_free_again_and_sends_nothing() -> None:
    pair = Pair(Network(seed=15))
    pair.bob_port.stopListening()
    pair.network.settle()
    with pytest.raises(RuntimeError, match="closed"):
        pair.reply(b"x")
    fired: list[object] = []
    pair.bob_port.stopListening().addCallback(fired.append)
    assert fired == [None]
    again = Notebook(pair.bob.host)
    pair.bob.host.listenUDP(9050, again)
    pair.send(b"hello")
    pair.network.settle()
    assert again.payloads == [b"hello"]


# ---------------------------------------------------------------- calls


def test_calls_happen_at_their_time_and_in_the_order_they_were_asked_for() -> None:
    network = Network(seed=16)
    alice, bob = network.host(ALICE), network.host(BOB)
    log: list[tuple[float, str]] = []

    def note(text: str, *, mark: str = "") -> None:
        log.append((network.seconds(), text + mark))

    alice.callLater(2, note, "c")
    bob.callLater(1, note, "a")
    alice.callLater(1, note, "b", mark="!")
    network.run(1.5)
    assert log == [(1.0, "a"), (1.0, "b!")]
    network.run(0.5)
    assert log[2:] == [(2.0, "c")]


def test_a_cancelled_call_does_not_happen() -> None:
    host = Network(seed=16).host(ALICE)
    happened: list[str] = []
    call = host.callLater(1, happened.append, "x")
    assert call.active()
    call.cancel()
    assert not call.active()
    host.network.run(2)
    assert happened == []
    for again in (call.cancel, lambda: call.reset(1), lambda: call.delay(1)):
        with pytest.raises(AlreadyCancelled):
            again()


def test_a_call_that_has_happened_cannot_be_changed() -> None:
    host = Network(seed=16).host(ALICE)
    call = host.callLater(0, lambda: None)
    host.network.settle()
    assert not call.active()
    for late in (call.cancel, lambda: call.reset(1), lambda: call.delay(1)):
        with pytest.raises(AlreadyCalled):
            late()


def test_reset_counts_from_now_and_delay_from_the_time_set() -> None:
    network = Network(seed=16)
    host = network.host(ALICE)
    times: list[float] = []
    later = host.callLater(1, lambda: times.append(network.seconds()))
    sooner = host.callLater(5, lambda: times.append(network.seconds()))
    network.run(0.5)
    later.delay(2)
    sooner.reset(1)
    assert (later.getTime(), sooner.getTime()) == (3.0, 1.5)
    network.run(5)
    assert times == [1.5, 3.0]


def test_the_calls_of_a_host_are_its_own() -> None:
    network = Network(seed=16)
    alice = network.host(ALICE)
    late, soon = alice.callLater(2, int), alice.callLater(1, int)
    gone = alice.callLater(3, int)
    network.host(BOB).callLater(1, int)
    gone.cancel()
    assert alice.getDelayedCalls() == [soon, late]
    soon.reset(9)
    assert alice.getDelayedCalls() == [late, soon]
    network.run(10)
    assert alice.getDelayedCalls() == []


def test_a_call_into_the_past_is_refused() -> None:
    host = Network(seed=16).host(ALICE)
    for delay in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="delay"):
            host.callLater(delay, int)


def test_time_never_goes_back_for_a_call_moved_into_the_past() -> None:
    network = Network(seed=16)
    times: list[float] = []
    call = network.host(ALICE).callLater(5, lambda: times.append(network.seconds()))
    network.run(4)
    call.delay(-3)
    network.settle()
    assert times == [4.0]


def test_timers_set_anew_a_hundred_thousand_times_leave_nothing_behind() -> None:
    network = Network(seed=16)
    host = network.host(ALICE)
    moved = host.callLater(30, int)
    replaced = host.callLater(30, int)
    for number in range(100_000):
        moved.reset(30 if number % 2 else 29)
        replaced.cancel()
        replaced = host.callLater(30, int)
    assert len(network._clock._heap) < 200
    assert "2 calls" in repr(network)


_steps = st.lists(
    st.tuples(
        st.sampled_from(["call", "cancel", "reset", "delay", "run"]),
        st.integers(0, 9),
        st.integers(-4, 12).map(lambda quarter: quarter / 4),
    ),
    max_size=60,
)


@given(steps=_steps)
def test_calls_keep_their_order_however_they_are_moved(
    steps: list[tuple[str, int, float]],
) -> None:
    """
    Against the plainest clock there is: a list, searched for the smallest time, oldest wish first.
    """
    network = Network(seed=17)
    host = network.host(ALICE)
    happened: list[int] = []
    calls: list[IDelayedCall] = []
    plain: dict[int, tuple[float, int]] = {}
    expected: list[int] = []

    def plain_run(until: float) -> None:
        due = sorted((wish, call) for call, wish in plain.items() if wish[0] <= until)
        for _, call in due:
            expected.append(call)
            del plain[call]

    for order, (step, which, amount) in enumerate([*steps, ("run", 0, 1000.0)]):
        now = network.seconds()
        call = which % len(calls) if calls else -1
        if step == "call":
            plain[len(calls)] = (now + abs(amount), order)
            calls.append(host.callLater(abs(amount), happened.append, len(calls)))
        elif step == "run":
            network.run(abs(amount))
            plain_run(network.seconds())
            assert happened == expected
        elif call in plain:
            if step == "cancel":
                calls[call].cancel()
                del plain[call]
            elif step == "reset":
                calls[call].reset(amount)
                plain[call] = (now + amount, order)
            else:
                calls[call].delay(amount)
                plain[call] = (plain[call][0] + amount, order)
            assert {calls[call] for call in plain} == set(host.getDelayedCalls())


# ---------------------------------------------------------------- running


class Event:
    """
    A predicate that is no function and never true.
    """

    def __call__(self) -> bool:
        return False


def test_run_until_stops_at_the_very_call() -> None:
    network = Network(seed=18, latency=0.1)
    pair = Pair(network)
    pair.send(b"a", b"b")
    network.run_until(lambda: pair.bob.received)
    assert pair.bob.payloads == [b"a"]
    assert network.seconds() == 0.1
    network.run_until(lambda: True, timeout=0)
    assert pair.bob.payloads == [b"a"]


def test_a_time_out_names_seed_time_and_what_was_waited_for() -> None:
    network = Network(seed=4711)
    cows_at_home: list[str] = []
    network.run(1)
    with pytest.raises(AssertionError) as caught:
        network.run_until(lambda: cows_at_home, timeout=2.5)
    for part in ("seed=4711", "at 3.5 s", "2.5 s passed", "lambda: cows_at_home", __file__):
        assert part in str(caught.value)
    assert network.seconds() == 3.5
    with pytest.raises(AssertionError, match="Event"):
        network.run_until(Event(), timeout=1)


def test_the_default_time_out_is_half_a_minute_of_virtual_time() -> None:
    network = Network(seed=18)
    with pytest.raises(AssertionError, match="30 s passed"):
        network.run_until(lambda: False)
    assert network.seconds() == 30


def test_settle_does_what_is_due_now_and_what_comes_of_it_now() -> None:
    network = Network(seed=18)
    host = network.host(ALICE)
    log: list[str] = []
    host.callLater(0, lambda: host.callLater(0, log.append, "chained"))
    host.callLater(0.001, log.append, "later")
    network.settle()
    assert log == ["chained"]
    assert network.seconds() == 0


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_only_a_finite_future_can_be_run(seconds: float) -> None:
    network = Network(seed=18)
    with pytest.raises(ValueError, match="time to run"):
        network.run(seconds)
    with pytest.raises(ValueError, match="time to run"):
        network.run_until(lambda: True, timeout=seconds)


def test_running_inside_of_a_run_is_refused() -> None:
    network = Network(seed=18)
    network.host(ALICE).callLater(0, network.settle)
    with pytest.raises(RuntimeError, match="inside of a run"):
        network.settle()
    network.run(1)


def test_two_protocols_that_answer_each_other_forever_are_stopped() -> None:
    network = Network(seed=4711)
    alice, bob = network.host(ALICE), network.host(BOB)
    port = alice.listenUDP(9050, Echo(alice))
    bob.listenUDP(9050, Echo(bob))
    port.write(b"ping", BOB_PORT)
    with pytest.raises(RuntimeError, match=r"without time moving.*seed=4711"):
        network.run(1)


def test_a_call_that_calls_itself_at_once_forever_is_stopped() -> None:
    network = Network(seed=18)
    host = network.host(ALICE)

    def again() -> None:
        host.callLater(0, again)

    again()
    with pytest.raises(RuntimeError, match="again"):
        network.run_until(lambda: False)


def test_many_datagrams_sent_beforehand_are_no_endless_loop() -> None:
    pair = Pair(Network(seed=18))
    pair.send(*[b"x"] * (MAX_CALLS_AT_ONE_INSTANT + 10))
    pair.network.settle()
    assert len(pair.bob.received) == MAX_CALLS_AT_ONE_INSTANT + 10


def test_endless_answers_are_fine_while_time_moves() -> None:
    network = Network(seed=18, latency=0.001)
    alice, bob = network.host(ALICE), network.host(BOB)
    alice.listenUDP(9050, Echo(alice)).write(b"ping", BOB_PORT)
    bob.listenUDP(9050, Echo(bob))
    network.run(MAX_CALLS_AT_ONE_INSTANT * 0.0012)


# ---------------------------------------------------------------- what goes wrong


class Clumsy(Notebook):
    """
    Stumbles over every datagram, after noting it.
    """

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        super().datagramReceived(datagram, addr)
        raise LookupError(datagram.decode())


def clumsy(network: Network) -> tuple[Clumsy, Port]:
    protocol = Clumsy(network.host("10.0.0.3"))
    protocol.host.listenUDP(9050, protocol)
    return protocol, network.host(ALICE).listenUDP(0, Notebook(network.host(ALICE)))


def test_what_a_protocol_raises_surfaces_when_the_run_has_ended() -> None:
    network = Network(seed=4711)
    protocol, port = clumsy(network)
    port.write(b"oops", ("10.0.0.3", 9050))
    with pytest.raises(LookupError, match="oops") as caught:
        network.run(5)
    assert network.seconds() == 5
    assert network.errors == [caught.value]
    note = "".join(caught.value.__notes__)
    assert "seed=4711" in note
    assert "10.0.0.3" in note
    network.run(1)
    assert protocol.payloads == [b"oops"], "and is not raised again"


def test_several_errors_surface_together() -> None:
    network = Network(seed=4711)
    _, port = clumsy(network)
    port.write(b"one", ("10.0.0.3", 9050))
    port.write(b"two", ("10.0.0.3", 9050))
    with pytest.raises(ExceptionGroup, match=r"2 errors in .*seed=4711") as caught:
        network.settle()
    assert list(caught.value.exceptions) == network.errors


def test_errors_are_preferred_to_the_time_out_they_caused() -> None:
    network = Network(seed=4711)
    _, port = clumsy(network)
    port.write(b"oops", ("10.0.0.3", 9050))
    with pytest.raises(LookupError, match="oops") as caught:
        network.run_until(lambda: False, timeout=2)
    assert "2 s passed waiting for" in "".join(caught.value.__notes__)


def test_errors_surface_though_the_predicate_became_true() -> None:
    network = Network(seed=4711)
    protocol, port = clumsy(network)
    port.write(b"oops", ("10.0.0.3", 9050))
    with pytest.raises(LookupError):
        network.run_until(lambda: protocol.received)


def test_errors_of_calls_hooks_and_stopping_surface() -> None:
    network = Network(seed=19)
    pair = Pair(network)

    class Stubborn(Notebook):
        def stopProtocol(self) -> None:
            raise LookupError("stop")

    def fail(*args: object) -> None:
        raise LookupError("hook")

    stubborn = Stubborn(pair.alice.host)
    fired: list[object] = []
    pair.alice.host.listenUDP(0, stubborn).stopListening().addCallback(fired.append)
    pair.alice.host.callLater(0, fail)
    network.tap(fail)
    network.drop_if(fail)
    pair.send(b"x")
    with pytest.raises(ExceptionGroup) as caught:
        network.settle()
    assert sorted(str(error) for error in caught.value.exceptions) == ["hook"] * 3 + ["stop"]
    assert pair.bob.payloads == [b"x"]
    assert fired == [None]


@pytest.mark.parametrize(
    "conditions",
    [
        {"latency": -0.1},
        {"jitter": float("inf")},
        {"loss": 1.1},
        {"duplicate": -0.1},
        {"reorder": float("nan")},
        {"reorder_delay": -1.0},
        {"mtu": -1},
    ],
    ids=lambda conditions: next(iter(conditions)),
)
def test_impossible_conditions_are_refused_by_name(conditions: Conditions) -> None:
    network = Network(seed=19)
    name = next(iter(conditions))
    with pytest.raises(ValueError, match=f"^{name} must be"):
        Network(seed=19, **conditions)
    with pytest.raises(ValueError, match=f"^{name} must be"):
        network.link(ALICE, BOB, **conditions)
    with pytest.raises(TypeError, match="latancy"):
        network.link(ALICE, BOB, latancy=1.0)  # type: ignore[call-arg]  # the point


def test_the_seed_stands_in_the_repr() -> None:
    assert "seed=4711" in repr(Network(seed=4711))
    assert "seed=4711" in repr(Network(4711).host(ALICE))


def test_no_reactor_is_installed_by_importing_it() -> None:
    code = "import sys, p2pnet.testing; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- any network at all


_chances = st.sampled_from([0.0, 0.1, 0.5, 1.0])
_delays = st.sampled_from([0.0, 0.001, 0.05, 1.0])
_conditions: st.SearchStrategy[Conditions] = st.builds(
    Conditions,
    latency=_delays,
    jitter=_delays,
    loss=_chances,
    duplicate=_chances,
    reorder=_chances,
    reorder_delay=_delays,
    mtu=st.sampled_from([0, 4, 1500]),
)
_traffic = st.lists(st.tuples(_delays, st.binary(max_size=8)), max_size=30)


def play(
    seed: int, conditions: Conditions, traffic: list[tuple[float, bytes]]
) -> tuple[list[tuple[float, bytes]], list[tuple[Any, ...]], Notebook]:
    """
    Send each payload, numbered, so much later than the one before it.

    :return: what was sent when, the trace, and who received it.
    """
    network = Network(seed=seed, **conditions)
    pair = Pair(network)
    trace: list[tuple[Any, ...]] = []
    network.tap(lambda *args: trace.append(args))
    sent: list[tuple[float, bytes]] = []
    for number, (pause, payload) in enumerate(traffic):
        network.run(pause)
        sent.append((network.seconds(), bytes([number]) + payload))
        pair.send(sent[-1][1])
    network.run(10)
    return sent, trace, pair.bob


@given(seed=st.integers(), conditions=_conditions, traffic=_traffic)
def test_any_network_delivers_only_what_was_sent_and_never_too_early(
    seed: int, conditions: Conditions, traffic: list[tuple[float, bytes]]
) -> None:
    sent, trace, bob = play(seed, conditions, traffic)
    departures = {payload: time for time, payload in sent}
    latest = conditions["latency"] + conditions["jitter"] + conditions["reorder_delay"]
    copies = Counter(bob.payloads)
    for time, payload, source in bob.received:
        assert source == (ALICE, 9050)
        assert len(payload) <= conditions["mtu"]
        assert copies[payload] <= (2 if conditions["duplicate"] else 1)
        assert departures[payload] + conditions["latency"] <= time
        assert time <= departures[payload] + latest + 1e-9
    fates = Counter(fate for *_, fate in trace)
    assert fates[Fate.DELIVERED] + fates[Fate.LOST] + fates[Fate.TOO_BIG] == len(sent)
    assert fates[Fate.DELIVERED] + fates[Fate.DUPLICATED] == len(bob.received)
    if not conditions["loss"]:
        assert set(copies) == {data for _, data in sent if len(data) <= conditions["mtu"]}


@given(seed=st.integers(), conditions=_conditions, traffic=_traffic)
def test_any_network_without_jitter_and_reordering_is_first_in_first_out(
    seed: int, conditions: Conditions, traffic: list[tuple[float, bytes]]
) -> None:
    calm: Conditions = {**conditions, "jitter": 0.0, "reorder": 0.0}
    _, _, bob = play(seed, calm, traffic)
    numbers = [payload[0] for payload in bob.payloads]
    assert numbers == sorted(numbers)


@given(seed=st.integers(), conditions=_conditions, traffic=_traffic)
def test_the_same_seed_and_calls_give_the_same_trace(
    seed: int, conditions: Conditions, traffic: list[tuple[float, bytes]]
) -> None:
    assert play(seed, conditions, traffic)[1] == play(seed, conditions, traffic)[1]


def test_another_seed_gives_another_trace() -> None:
    traffic = [(0.0, b"")] * 30
    conditions: Conditions = {"loss": 0.5, "jitter": 0.1}
    assert play(1, conditions, traffic)[1] != play(2, conditions, traffic)[1]
