"""
A NetManager that a script starts, uses and stops.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from p2pnet.interfaces import Address, ConnectFailed, INetPeer, RudpError
from p2pnet.net.addresses import normalised
from p2pnet.net.manager import NetManager
from p2pnet.net.manual import ManualNetManager
from p2pnet.peer.assembly import conditions, engine_config, net_manager
from p2pnet.peer.audience import Audience
from p2pnet.peer.events import Journal
from p2pnet.peer.introducing import NatAudience
from p2pnet.peer.language import Unsupported
from p2pnet.peer.options import Options, names_at_start
from p2pnet.peer.ticking import Ticking


class Stage:
    """
    At most one NetManager, and who listens to it.

    :param reactor: what NetManager wants; in manual mode its timers make the ticks.
    :ivar audience: hears what happens; it has the options.
    """

    def __init__(self, journal: Journal, reactor: Any) -> None:
        self.audience = Audience(journal, reactor)
        self._journal = journal
        self._reactor = reactor
        self._manager: NetManager | ManualNetManager | None = None
        self._nat: NatAudience | None = None
        self._ticking: Ticking | None = None
        self._facilitating = False

    @property
    def running(self) -> bool:
        """
        A NetManager runs.
        """
        return self._manager is not None

    @property
    def manager(self) -> NetManager | ManualNetManager:
        """
        The one that runs.

        :raise RudpError: none does.
        """
        if self._manager is None:
            raise RudpError("nothing runs; start first")
        return self._manager

    @property
    def nat(self) -> NatAudience:
        """
        NAT introduction of the manager that runs.

        :raise RudpError: none does.
        """
        if self._nat is None:
            raise RudpError("nothing runs; start first")
        return self._nat

    @property
    def layer_overhead(self) -> int:
        """
        Bytes that the packet layer adds to a datagram.
        """
        layer = self.audience.options.packet_layer()
        return 0 if layer is None else layer.overhead

    @property
    def ticking(self) -> Ticking:
        """
        The loop of manual mode.

        :raise Unsupported: it is not that mode.
        """
        if self._ticking is None:
            raise Unsupported("without manual=1 events are told when they happen")
        return self._ticking

    # ------------------------------------------------------------ start, stop, change

    def start(self, settings: Iterable[str]) -> None:
        """
        Start with the options so far and those of `settings`.

        :raise RudpError: something runs already.
        :raise ValueError: a setting is bad.
        :raise CannotListenError: the port is taken.
        """
        if self._manager is not None:
            raise RudpError("it runs already; stop first")
        options = self.audience.options.read(settings)
        if options.manual:
            ticking = Ticking(options, self.audience, self._journal, self._reactor)
            ticking.start()
            self._begin(ticking.manager, options)
            self._ticking = ticking
        else:
            manager = net_manager(options, self.audience, self._reactor)
            manager.startService()
            self._begin(manager, options)

    def _begin(self, manager: NetManager | ManualNetManager, options: Options) -> None:
        self._manager = manager
        # A port that the system has chosen is kept over a restart.
        self.audience.options = replace(options, port=manager.local_port)
        self.audience.begin(manager.send_unconnected)
        self._nat = NatAudience(self._journal, manager.nat, self.connect)
        self._nat.facilitating = self._facilitating
        self._nat.key = options.natautoconnect
        manager.nat.init(self._nat)

    async def stop(self, goodbye: bool = True) -> None:
        """
        Stop.  As in LiteNetLib nobody here is told of the connections that end by it.

        :param goodbye: tell the other sides.
        :raise RudpError: nothing runs.
        """
        manager = self.manager
        self.audience.listening = False
        if not goodbye:
            for peer in list(self.audience.peers.values()):
                peer.disconnect_force()
        if self._ticking is not None:
            self._ticking.stop()
        elif isinstance(manager, NetManager):
            await manager.stopService()
        self.audience.end()
        self._manager = self._nat = self._ticking = None

    def change(self, settings: Iterable[str]) -> None:
        """
        Change options, also of what runs.

        :raise ValueError: a setting is bad, or cannot be changed while it runs.
        """
        settings = tuple(settings)
        options = self.audience.options.read(settings)
        if self._manager is not None:
            for name in names_at_start(settings):
                raise ValueError(f"{name}: only at the start; stop first")
            self._manager.config = engine_config(options)
            self._manager.conditions = conditions(options)
            self.nat.key = options.natautoconnect
        self.audience.options = options

    def facilitate(self, on: bool) -> None:
        """
        Introduce those to each other that name the same token, from now on or no more.
        """
        if on:
            self.change(["nat=1"])
        self._facilitating = on
        if self._nat is not None:
            self._nat.facilitating = on

    # ------------------------------------------------------------ connections

    def connect(self, address: Address, data: bytes | str) -> INetPeer:
        """
        Dial.

        :raise RudpError: nothing runs.
        :raise MessageTooLarge: ``data`` does not fit a datagram.
        :raise ValueError: ``address`` is no literal IP and a port.
        """
        manager, address = self.manager, normalised(address)
        # In LiteNetLib both may always dial at once.
        connected = manager.connect(address, data, peer_to_peer=True)
        if isinstance(connected, Deferred):
            # A failure is told as the end of the peer.
            connected.addErrback(lambda failure: failure.trap(ConnectFailed))
            peer = self._dialled(address)
        else:
            peer = connected
        self.audience.know(peer)
        return peer

    def _dialled(self, address: Address) -> INetPeer:
        for id in range(self.audience.highest_id + 2):
            peer = self.manager.peer_by_id(id)
            if peer is not None and peer.address == address:
                return peer
        raise RudpError(f"there is no peer for {address}")
