"""
The doubles are what they stand for, and so is the service.
"""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory, IPushProducer
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from p2pnet.chat.listening import Introduced
from p2pnet.chat.notices import IChatObserver
from p2pnet.chat.seat import Seat
from p2pnet.interfaces import IConnectionRequest, INetEventListener, INetPeer, IRendezvous
from tests.chat.doubles import PairedPeer, PairedRequest, Town, TownRendezvous, connect_pair
from tests.chat.stage import ALICE, Stage


def test_doubles_provide_their_interfaces() -> None:
    clock = Clock()
    peer, _ = connect_pair(clock, None, None)
    verifyObject(INetPeer, peer)
    request = PairedRequest(("192.0.2.1", 1), b"", lambda _: PairedPeer(clock, ("", 1), None))
    verifyObject(IConnectionRequest, request)
    verifyObject(IRendezvous, TownRendezvous(Town(clock), str(ALICE)))


def test_the_chat_provides_what_it_says() -> None:
    node = Stage().node(ALICE, "alice")
    verifyObject(INetEventListener, node.chat)
    verifyObject(INetEventListener, Introduced(node.chat, str(ALICE), dialled=True))
    verifyObject(IProtocolFactory, node.factory)
    console = node.factory.buildProtocol(None)
    verifyObject(IPushProducer, console)
    verifyObject(IHalfCloseableProtocol, console)
    seat = Seat(node.chat, write=print, leave=print, close=print)
    verifyObject(IChatObserver, seat)
