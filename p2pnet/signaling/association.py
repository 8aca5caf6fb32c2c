"""
A peer's end of its UDP association with the daemon's engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    ConnectFailed,
    DeliveryMethod,
    DisconnectInfo,
    DisconnectReason,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    RelayFailed,
    RudpError,
    UnconnectedMessageType,
)
from p2pnet.serialization import NetDataWriter
from p2pnet.signaling.addresses import literal_ip
from p2pnet.signaling.shapes import (
    About,
    Candidates,
    Ended,
    Find,
    Found,
    Leaving,
    Offer,
    Registered,
    Seek,
    SeekRefused,
    Welcome,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from p2pnet.interfaces import INetManager

NO_ADDRESS: Final = "0.0.0.0"
"""What we say of our own network when this machine has no way to the daemon."""


class Unusable(Exception):
    """
    The daemon's engine cannot be reached; the text says why.
    """


class Detour(Protocol):
    """
    The way to the daemon's engine where UDP leads nowhere.
    """

    def open(self, facilitator: Address) -> Deferred[Address]:
        """
        The address under which our engine reaches ``facilitator`` through a relay.

        :return: fails with `RelayFailed`.
        """

    def close(self) -> None:
        """
        It is not needed, or has led nowhere.
        """


class Associated(Protocol):
    """
    Who hears of the association.
    """

    def arrived(self) -> None:
        """
        The daemon let us in; it has yet to see that we answer.
        """

    def welcomed(self, welcome: Welcome, facilitator: Address) -> None:
        """
        The association stands, or the daemon sees us at another address than before.
        """

    def told(self, message: Found | Offer | SeekRefused | Candidates) -> None:
        """
        The daemon says something.

        :raise ValueError: it makes no sense.
        """

    def leaving(self, retry_after: float) -> None:
        """
        The daemon is about to end.

        :param retry_after: seconds after which another one may run there.
        """

    def parted(self, why: str | None) -> None:
        """
        The association is over.

        :param why: for a person; None if it was we who ended it.
        """


@implementer(INetEventListener)
class Association:
    """
    At most one connection with the daemon's engine, from the socket of ``manager``: what talks
    there is what the daemon sees (TRAPS T2).

    :param host: of the daemon at this moment, if it does not name one for its engine.
    :param resolve: a host name to a literal IP, without blocking.
    :param local_address: our own address on the way to a literal IP; may raise ``OSError``.
    :ivar external: where the daemon sees us; None as long as it has not told.
    """

    _log = Logger()

    def __init__(
        self,
        manager: INetManager,
        owner: Associated,
        detour: Detour,
        *,
        host: Callable[[], str],
        resolve: Callable[[str], Deferred[str]],
        local_address: Callable[[str], str],
    ) -> None:
        self.external: Address | None = None
        self._manager = manager
        self._owner = owner
        self._detour = detour
        self._host = host
        self._resolve = resolve
        self._local_address = local_address
        self._peer: INetPeer | None = None
        self._facilitator: Address = ("", 0)
        self._opening = False

    @property
    def is_open(self) -> bool:
        """
        There is one, if perhaps not yet a proven one.
        """
        return self._peer is not None

    @property
    def silence(self) -> float:
        """
        Seconds since the daemon's engine was heard; 0 without an association.
        """
        return 0.0 if self._peer is None else self._peer.time_since_last_packet

    async def open(
        self, answer: Registered, register: Callable[[], Coroutine[object, object, Registered]]
    ) -> None:
        """
        Connect with the ticket in ``answer``; over a relay if the engine does not answer.

        :param register: gets another ticket: the first one may have been used up by a request that
            came through.
        :raise Unusable: the engine has no address.
        :raise ConnectFailed: it does not answer, or does not want us.
        """
        self._opening = True
        try:
            await self._open(answer, register)
        finally:
            self._opening = False

    async def _open(
        self, answer: Registered, register: Callable[[], Coroutine[object, object, Registered]]
    ) -> None:
        host = answer.udp.host or self._host()
        ip = literal_ip(host)
        if ip is None:
            ip = literal_ip(await self._resolve(host))
        if ip is None:
            raise Unusable(f"no address for {host!r}")
        facilitator = self._facilitator = (ip, answer.udp.port)
        try:
            await self._connect(facilitator, answer)
        except ConnectFailed as failed:
            if failed.info.reason is not DisconnectReason.CONNECTION_FAILED:
                raise
            try:
                around = await self._detour.open(facilitator)
            except RelayFailed:
                raise failed from None
            try:
                await self._connect(around, await register())
            except Exception:
                # Also if it was cancelled.
                self._detour.close()
                raise

    async def _connect(self, address: Address, answer: Registered) -> None:
        try:
            internal = self._local_address(self._facilitator[0])
        except OSError:
            internal = NO_ADDRESS
        writer = NetDataWriter()
        writer.put_string(answer.ticket)
        writer.put_endpoint((internal, self._manager.local_port))
        await self._manager.connect(address, writer.data(), listener=self)

    def send(self, message: Find | Seek | Candidates | About | Ended) -> bool:
        """
        Say something to the daemon; false if there is no association to say it over.
        """
        if self._peer is None or self.external is None:
            return False
        try:
            self._peer.send(encode(message))
        except RudpError:
            return False
        return True

    def close(self, *, moved: bool = False) -> None:
        """
        End it, if there is one.

        :param moved: what we say now comes from another address, where the daemon knows nobody.
        """
        peer = self._peer
        if peer is not None:
            self._part(None)
            if moved:
                peer.disconnect_force()
            else:
                peer.disconnect()

    def _part(self, why: str | None) -> None:
        self._peer = None
        self.external = None
        self._detour.close()
        self._owner.parted(why)

    # ------------------------------------------------------------ INetEventListener

    def peer_connected(self, peer: INetPeer) -> None:
        """
        The daemon let us in.
        """
        if not self._opening:
            # We have given up while the answer was under way.
            peer.disconnect()
            return
        self._peer = peer
        self._owner.arrived()

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        """
        It is over.
        """
        if peer is self._peer:
            self._part(info.reason.name.lower().replace("_", " "))

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        """
        The daemon speaks.  What we do not understand is from a newer one, and ignored.
        """
        if peer is not self._peer:
            return
        try:
            message: Found | Offer | SeekRefused | Candidates | Welcome | Leaving = decode(
                data, Found | Offer | SeekRefused | Candidates | Welcome | Leaving
            )
            if isinstance(message, Welcome):
                self._welcomed(message)
            elif isinstance(message, Leaving):
                self._owner.leaving(message.retry_after)
            elif self.external is None:
                raise ValueError("said before the welcome")
            else:
                self._owner.told(message)
        except ValueError as error:
            self._log.debug("not understood: {error!r}", error=str(error))

    def _welcomed(self, welcome: Welcome) -> None:
        ip = literal_ip(welcome.ip)
        if ip is None:
            raise ValueError(f"ip: {welcome.ip!r} is no literal IP")
        self.external = (ip, welcome.port)
        self._owner.welcomed(welcome, self._facilitator)

    def network_error(self, address: Address | None, error: OSError) -> None:
        """
        Nothing: if it matters the association will end.
        """

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        """
        Nothing.
        """

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        """
        Nothing.
        """

    def connection_request(self, request: IConnectionRequest) -> None:
        """
        Nobody connects to an association; who asks is refused.
        """
        request.reject()
