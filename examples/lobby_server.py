"""
A lobby: knows who is there, tells everybody who comes and goes, and passes on what they say.

    python examples/lobby_server.py --port 9050

lobby_packets.py has the packets, also in C#.  Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lobby_packets import KEY, Chat, Join, Joined, Left, Players
from p2pnet.interfaces import DeliveryMethod, DisconnectInfo, INetPeer
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.serialization import NetDataReader, NetPacketProcessor, ReadError
from p2pnet.text import username_fault


class Lobby:
    """
    Who is there.
    """

    def __init__(self, reactor: Any, port: int) -> None:
        self.names: dict[INetPeer, str] = {}
        self.packets = NetPacketProcessor()
        self.packets.subscribe(Join, self.join)
        self.packets.subscribe(Chat, self.chat)
        listener = EventBasedNetListener()
        listener.connection_request_event += lambda request: request.accept_if_key(KEY)
        listener.network_receive_event += self.received
        listener.peer_disconnected_event += self.left
        self.server = NetManager(listener, reactor=reactor, port=port)

    def received(self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod) -> None:
        """
        Call `join` or `chat` for each packet.
        """
        try:
            self.packets.read_all_packets(NetDataReader(data), peer)
        except ReadError as error:
            peer.disconnect(f"bad packet: {error}".encode())

    def join(self, packet: Join, peer: INetPeer) -> None:
        fault = username_fault(packet.name)
        if fault or packet.name in self.names.values() or peer in self.names:
            peer.disconnect(f"name {fault or 'is taken'}".encode())
            return
        self.packets.send(peer, Players(list(self.names.values())))
        self.names[peer] = packet.name
        self.tell_all(Joined(packet.name, len(self.names)))

    def chat(self, packet: Chat, peer: INetPeer) -> None:
        if peer in self.names:
            self.tell_all(Chat(self.names[peer], packet.text))

    def left(self, peer: INetPeer, info: DisconnectInfo) -> None:
        if peer in self.names:
            name = self.names.pop(peer)
            self.tell_all(Left(name, len(self.names)))

    def tell_all(self, packet: Chat | Joined | Left) -> None:
        print(packet)
        self.packets.send_to_all(self.server, packet)


async def serve(reactor: Any, port: int) -> None:
    lobby = Lobby(reactor, port)
    lobby.server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", lobby.server.stopService)
    print(f"lobby on UDP port {lobby.server.local_port}")
    await Deferred()  # for ever


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A lobby with a chat.")
    parser.add_argument("--port", type=int, default=9050, help="UDP port; 0: any (9050)")
    react(serve, (parser.parse_args().port,))
