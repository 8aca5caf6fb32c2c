"""
A peer's end of signaling: stays registered and associated, and dials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    IConnectionRequest,
    INatPunchListener,
    INetEventListener,
    INetPeer,
    IRendezvous,
    NatAddressType,
    RudpError,
    UnconnectedMessageType,
)
from p2pnet.serialization import NetDataWriter
from p2pnet.signaling.addresses import literal_ip
from p2pnet.signaling.dialer import Dialer
from p2pnet.signaling.directory import Directory, NoAnswer, Refused
from p2pnet.signaling.offers import LIFETIME, Offers
from p2pnet.signaling.records import InvalidField, valid_peer_id, valid_username
from p2pnet.signaling.shapes import Offer, Welcome, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.interfaces import INetManager
    from p2pnet.signaling.directory import HTTP
    from p2pnet.signaling.records import Listing
    from p2pnet.signaling.shapes import Introduction, Registered

FAREWELL: Final = 1.0
"""Seconds that unregistering may hold up the end of the process."""
BACKOFF: Final = 2.0
"""Seconds: the most we wait after a first failure; doubled by each further one."""
MAX_BACKOFF: Final = 30.0
MIN_BACKOFF: Final = 1.0
MIN_REFRESH: Final = 1.0
MAX_REFRESH: Final = 600.0
"""Seconds between two refreshes, whatever lease the server names."""


class _Unusable(Exception):
    """
    The daemon's engine cannot be reached; the text says why.
    """


@implementer(IRendezvous, INatPunchListener, INetEventListener)
class RendezvousClient(Service):
    """
    Keeps `peer_id` registered with the daemon at `server`, and associated with its engine from
    the socket of `manager`: what talks there is what the daemon sees (TRAPS T2).

    :param manager: must be running when we are started, and stop after us.
    :param http: see `p2pnet.signaling.http`.
    :param server: ``http://HOST[:PORT]``.
    :param clock: for timers; whatever it counts from.
    :param resolve: a host name to a literal IP, without blocking.
    :param random: draws from [0, 1), to spread retries.
    :param dial_timeout: seconds per attempt to dial.
    :param attempts: to dial.
    :param local_address: our own address on the way to a literal IP; may raise `OSError`.
    :raise ValueError: `server`, `peer_id` or `username` are not what they should be.

    :ivar username: under which we are registered, or will be.
    :ivar status: for a person: what the matter is, or that nothing is.
    """

    _log = Logger()

    def __init__(
        self,
        manager: INetManager,
        http: HTTP,
        *,
        server: str,
        peer_id: str,
        username: str,
        clock: IReactorTime,
        resolve: Callable[[str], Deferred[str]],
        random: Callable[[], float],
        dial_timeout: float = 10.0,
        attempts: int = 3,
        local_address: Callable[[str], str],
    ) -> None:
        self.peer_id = valid_peer_id(peer_id)
        self.username = valid_username(username)
        self.online: bool = False
        self.external: Address | None = None
        self.status = "not started"
        self._manager = manager
        self._directory = Directory(http, server)
        self._clock = clock
        self._resolve = resolve
        self._random = random
        self._local_address = local_address
        self._offers = Offers(manager.nat, clock.seconds, max(LIFETIME, dial_timeout))
        self._dialer = Dialer(
            manager,
            self._offers,
            peers=self._directory.peers,
            introduce=self._introduce,
            peer_id=self.peer_id,
            clock=clock,
            timeout=dial_timeout,
            attempts=attempts,
        )
        self._registering = DeferredLock()
        self._secret: str | None = None
        self._association: INetPeer | None = None
        self._facilitator: Address | None = None
        self._failures = 0
        self._timer: IDelayedCall | None = None
        self._effort: Deferred[Any] | None = None

    # ---------------------------------------------------------------- Service

    def startService(self) -> None:
        """
        Register now, and stay so.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._manager.nat.init(self)
        self.status = f"registering with {self._directory.server}"
        self._try()

    def stopService(self) -> Deferred[None]:
        """
        Unregister, waiting for that no longer than a second; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self.status = "stopped"
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._effort is not None:
            self._effort.cancel()
        self._dialer.stop()
        self._offers.clear()
        association = self._association
        self._lose_association()
        if association is not None:
            association.disconnect()
        self._follow(None)
        secret, self._secret = self._secret, None
        if secret is None:
            return succeed(None)
        farewell = Deferred.fromCoroutine(self._directory.unregister(self.peer_id, secret))
        farewell.addTimeout(FAREWELL, self._clock)
        # The lease ends by itself.
        return farewell.addErrback(lambda _: None)

    # ---------------------------------------------------------------- IRendezvous

    def peers(self) -> Deferred[Sequence[Listing]]:
        """
        See `IRendezvous`.
        """
        return Deferred.fromCoroutine(self._directory.peers()).addErrback(_unavailable)

    def dial(self, who: str, listener: INetEventListener) -> Deferred[INetPeer]:
        """
        See `IRendezvous`.
        """
        return self._dialer.dial(who, listener)

    def introduced(self, data: bytes) -> str | None:
        """
        See `IRendezvous`.
        """
        return self._offers.introduced(data)

    def rename(self, username: str) -> Deferred[None]:
        """
        See `IRendezvous`.

        :raise InvalidField: (a `ValueError`) no such name can be registered.
        """
        return Deferred.fromCoroutine(self._rename(username))

    async def _rename(self, username: str) -> None:
        valid_username(username)
        if self._secret is None:
            raise DialFailed("unavailable", self.status)
        try:
            await self._register(username)
        except (NoAnswer, Refused) as error:
            raise DialFailed("unavailable", str(error)) from None

    async def _introduce(self, peer_id: str) -> Introduction:
        if self._secret is None or not self.online:
            raise NoAnswer(self.status)
        try:
            return await self._directory.introduce(self.peer_id, peer_id, self._secret)
        except Refused as refused:
            if refused.status in (401, 403):
                # It forgot us; the sooner it learns of us again the better.
                self._try()
            raise

    # ---------------------------------------------------------------- staying registered

    def _try(self) -> None:
        """
        Do what is missing: register or refresh, then associate.  One effort at a time.
        """
        if self._effort is not None or not self.running:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        effort: Deferred[Any] = Deferred.fromCoroutine(self._register_and_associate())
        # Before the callbacks, for it may be over already.
        self._effort = effort
        effort.addCallbacks(self._succeeded, self._failed)
        effort.addErrback(lambda failure: self._log.failure("cannot go on", failure))

    async def _register_and_associate(self) -> float:
        """
        :return: seconds until the next refresh.
        """
        answer = await self._register()
        if self._association is None:
            await self._associate(answer)
        return min(max(answer.lease / 3, MIN_REFRESH), MAX_REFRESH)

    async def _register(self, username: str | None = None) -> Registered:
        """
        :param username: a new one.
        """
        await self._registering.acquire()
        try:
            name = username or self.username
            port = self._manager.local_port
            if not port:
                raise NoAnswer("our own UDP port is closed")
            try:
                answer = await self._directory.register(self.peer_id, name, port, self._secret)
            except Refused as refused:
                if self._secret is None or refused.status != 404:
                    raise
                # Whose lease ended long ago is nobody, and may come anew.
                self._secret = None
                answer = await self._directory.register(self.peer_id, name, port, None)
            if isinstance(answer.secret, str):
                self._secret = answer.secret
            self.username = name
            return answer
        finally:
            self._registering.release()

    async def _associate(self, answer: Registered) -> None:
        host = answer.udp.host or self._directory.host
        ip = literal_ip(host)
        if ip is None:
            ip = literal_ip(await self._resolve(host))
        if ip is None:
            raise _Unusable(f"no address for {host!r}")
        facilitator = (ip, answer.udp.port)
        self._follow(facilitator)
        try:
            internal = self._local_address(ip)
        except OSError:
            internal = "0.0.0.0"
        writer = NetDataWriter()
        writer.put_string(answer.ticket)
        writer.put_endpoint((internal, self._manager.local_port))
        await self._manager.connect(facilitator, writer.data(), listener=self)

    def _succeeded(self, refresh: float) -> None:
        self._effort = None
        if self._association is None:
            # It came and went while we were at it.
            self._again()
            return
        if self.online:
            self._failures = 0
        self._schedule(refresh)

    def _failed(self, failure: Failure) -> None:
        self._effort = None
        if not self.running:
            return
        error = failure.value
        server = self._directory.server
        if isinstance(error, Refused) and error.status in (401, 403):
            problem = f"{server}: somebody else is registered as {self.peer_id}"
        elif isinstance(error, Refused):
            problem = f"{server} refuses us: {error}"
        elif isinstance(error, NoAnswer | _Unusable):
            problem = str(error)
        elif isinstance(error, RudpError | OSError):
            problem = f"{server}: no association ({error})"
        else:
            self._log.failure("registering", failure)
            problem = f"registering failed: {type(error).__name__}"
        self._again(problem)

    def _again(self, problem: str | None = None) -> None:
        delay = self._backoff()
        if problem is not None and not self.online:
            self.status = f"{problem}; trying again in {delay:.0f} s"
        if problem is not None:
            self._log.warn("{problem!r}", problem=problem)
        self._schedule(delay)

    def _backoff(self) -> float:
        bound = min(MAX_BACKOFF, BACKOFF * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return max(MIN_BACKOFF, bound * (0.5 + self._random() / 2))

    def _schedule(self, delay: float) -> None:
        if not self.running:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(delay, self._try)

    def _follow(self, facilitator: Address | None) -> None:
        """
        Heed the introductions of `facilitator`, and of no other (PITFALLS C7).
        """
        if facilitator == self._facilitator:
            return
        if self._facilitator is not None:
            self._manager.nat.distrust(self._facilitator)
        if facilitator is not None:
            self._manager.nat.trust(facilitator)
        self._facilitator = facilitator

    def _lose_association(self) -> None:
        self._association = None
        self.online = False
        self.external = None

    # ---------------------------------------------------------------- the association

    def peer_connected(self, peer: INetPeer) -> None:
        """
        The daemon let us in; it has yet to see that we answer.
        """
        if not self.running:
            peer.disconnect()
            return
        self._association = peer
        self.status = f"waiting for the welcome of {self._directory.server}"

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        """
        Associate again, with a fresh ticket.
        """
        if peer is not self._association:
            return
        self._lose_association()
        if self._effort is None:
            reason = info.reason.name.lower().replace("_", " ")
            self._again(f"{self._directory.server}: association lost ({reason})")

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        """
        The daemon speaks.  What we do not understand is from a newer one, and ignored.
        """
        if peer is not self._association:
            return
        try:
            message: Offer | Welcome = decode(data, Offer | Welcome)
            if isinstance(message, Offer):
                self._offered(message)
            else:
                self._welcomed(message)
        except ValueError as error:
            self._log.debug("not understood: {error!r}", error=str(error))

    def _offered(self, offer: Offer) -> None:
        peer_id = valid_peer_id(offer.peer_id)
        if peer_id == self.peer_id:
            raise InvalidField("peer_id", "is our own")
        self._offers.expect(offer.token, peer_id)

    def _welcomed(self, welcome: Welcome) -> None:
        ip = literal_ip(welcome.ip)
        if ip is None:
            raise InvalidField("ip", "must be a literal IP")
        self.external = (ip, welcome.port)
        self.online = True
        self.status = f"registered with {self._directory.server}"
        self._failures = 0

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

    # ---------------------------------------------------------------- INatPunchListener

    def nat_introduction_request(self, internal: Address, external: Address, token: str) -> None:
        """
        Nothing: we introduce nobody.
        """

    def nat_introduction_success(self, target: Address, kind: NatAddressType, token: str) -> None:
        """
        The other side is there: a dial may be waiting for it.
        """
        self._offers.punched(target, token)


def _unavailable(failure: Failure) -> Any:
    failure.trap(NoAnswer, Refused)
    raise DialFailed("unavailable", str(failure.value)) from None
