"""
Who asks is told where it is seen.
"""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address
from p2pnet.reach.mapping import Observation
from p2pnet.reach.observer import Observing
from p2pnet.services.udp import udp_opener
from p2pnet.signaling.limits import Limits
from p2pnet.signaling.observers import Observer, ObserverPort
from p2pnet.signaling.shapes import UdpEndpoint
from p2pnet.testing import Network
from tests.net.world import Notebook, make_manager
from tests.signaling.doubles import FakeManager, Wire
from tests.signaling.fake_ports import FakePorts

ENGINE: Address = ("203.0.113.1", 9050)
PEER: Address = ("192.0.2.1", 61001)
BURST = int(Limits().observations.burst)
RATE = Limits().observations.per_second
TOTAL = int(Limits().observations_in_all.burst)


def question(observer: Address = ENGINE) -> bytes:
    asking = Observing([observer], [], random=Random(1).getrandbits, now=0.0)
    asking.handle_timeout(0.0)
    ((_, data),) = asking.datagrams_to_send()
    return data


class ObserverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.observer = Observer(clock=self.clock)

    def test_it_answers_on_the_engines_port(self) -> None:
        manager = FakeManager(Wire(), ENGINE)
        self.observer.attach(manager)
        assert manager.receiver is not None
        assert manager.receiver(question(), PEER)
        ((address, answer),) = manager.datagrams
        assert address == PEER
        assert len(answer) <= len(question())

    def test_what_is_no_question_is_left_to_the_engine(self) -> None:
        manager = FakeManager(Wire(), ENGINE)
        self.observer.attach(manager)
        assert manager.receiver is not None
        for data in (b"", b"\x00" * 44, question()[:-4], question()[:-1] + b"x"):
            assert not manager.receiver(data, PEER)
        assert manager.datagrams == []

    def test_a_question_from_nowhere_or_at_the_end_is_survived(self) -> None:
        network = Network(seed=1)
        manager = make_manager(network, Notebook(), ENGINE)
        self.observer.attach(manager)
        receive = manager._driver.shared.takes
        # It is not running.
        receive(question(), PEER)
        manager.startService()
        receive(question(), ("192.0.2.1", 0))
        assert self.flushLoggedErrors() == []

    def test_a_network_that_asks_too_often_gets_no_answer_and_others_do(self) -> None:
        answers = [
            self.observer.answer(question(), (f"192.0.2.{number}", 4000))
            for number in range(1, 201)
        ]
        assert sum(answer is not None for answer in answers) == BURST
        assert self.observer.drops == 200 - BURST
        assert self.observer.answer(question(), ("198.51.100.1", 4000)) is not None
        self.clock.advance(1 / RATE)
        assert self.observer.answer(question(), PEER) is not None
        assert self.observer.answer(question(), PEER) is None

    def test_all_networks_together_are_limited(self) -> None:
        data = question()
        for number in range(TOTAL + 50):
            self.observer.answer(data, (f"10.{number // 200}.{number % 200}.1", 4000))
        assert self.observer.drops == 50

    def test_what_is_no_question_costs_nobody_anything(self) -> None:
        for _ in range(BURST + 10):
            self.observer.answer(b"\x00" * 60, PEER)
        assert self.observer.drops == 0
        assert self.observer.answer(question(), PEER) is not None


class PortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ports = FakePorts()
        self.observer = Observer(clock=Clock())

    def port(self, number: int = 9051, host: str = "") -> ObserverPort:
        return ObserverPort(
            self.observer, self.ports.open, interface="10.0.0.1", port=number, host=host
        )

    def test_it_answers_and_is_announced_while_it_runs(self) -> None:
        port = self.port(host="10.0.0.1")
        assert port.endpoint is None
        port.startService()
        assert port.endpoint == UdpEndpoint(9051, "10.0.0.1")
        (opened,) = self.ports.opened
        assert (opened.interface, opened.local_port) == ("10.0.0.1", 9051)
        opened.hear(question(), PEER)
        opened.hear(b"\x00" * 60, PEER)
        ((_, address),) = opened.sent
        assert address == PEER
        self.successResultOf(port.stopService())
        assert opened.closed
        assert port.endpoint is None
        # One that was under way.
        opened.hear(question(), PEER)

    def test_any_free_port_will_do_and_is_announced(self) -> None:
        port = self.port(0)
        port.startService()
        assert port.endpoint == UdpEndpoint(40_000)

    def test_a_port_that_is_taken_is_an_error(self) -> None:
        self.ports.taken.add(9051)
        port = self.port()
        with self.assertRaises(CannotListenError):
            port.startService()
        assert port.endpoint is None
        self.successResultOf(port.stopService())


def test_a_peer_learns_where_it_is_seen_by_two_ports_of_a_daemon() -> None:
    """
    With datagrams, over an internet in memory.
    """
    network = Network(seed=3, latency=0.02)
    host = network.host(ENGINE[0])
    observer = Observer(clock=host)
    engine = make_manager(network, Notebook(), ENGINE)
    observer.attach(engine)
    engine.startService()
    second = ObserverPort(observer, udp_opener(host), interface=ENGINE[0], port=9051)
    second.startService()
    peer = make_manager(network, Notebook(), PEER)
    peer.startService()
    asked = [ENGINE, (ENGINE[0], 9051)]
    asking = Observing(asked, [], random=Random(1).getrandbits, now=0.0)
    peer.share_port(lambda data, address: asking.receive(data, address, network.seconds()))
    asking.handle_timeout(0.0)
    for address, data in asking.datagrams_to_send():
        peer.send_datagram(address, data)
    network.run(0.2)
    (made,) = asking.events()
    assert made.observations == tuple(Observation(each, PEER) for each in asked)


@given(st.binary(max_size=120))
def test_no_datagram_gets_more_bytes_than_it_has(data: bytes) -> None:
    answer = Observer(clock=Clock()).answer(data, PEER)
    assert answer is None or len(answer) <= len(data)
