"""
The doubles are what they stand for.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from p2pnet.interfaces import (
    IConnectionRequest,
    INatPunchModule,
    INetEventListener,
    INetManager,
    INetPeer,
    IRelay,
)
from p2pnet.turn.server import TurnServer
from tests.signaling.doubles import (
    FakeManager,
    FakePeer,
    FakeRelay,
    FakeRequest,
    RecordingListener,
    Wire,
)

ADDRESS = ("192.0.2.1", 4000)


def test_doubles_keep_to_the_interfaces() -> None:
    manager = FakeManager(Wire(), ADDRESS)
    verifyObject(INetManager, manager)
    verifyObject(INatPunchModule, manager.nat)
    verifyObject(INetEventListener, RecordingListener())
    verifyObject(INetPeer, FakePeer(ADDRESS, RecordingListener()))
    verifyObject(IConnectionRequest, FakeRequest(ADDRESS, b""))
    server = TurnServer("203.0.113.7", 3478, "udp", "name", "word")
    verifyObject(IRelay, FakeRelay(server))
