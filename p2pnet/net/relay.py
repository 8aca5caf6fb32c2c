"""
One address on a TURN server: an Allocation, moved by a reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pnet.interfaces import Address, IRelay, RelayFailed, RudpError
from p2pnet.net.lines import Line
from p2pnet.text import written
from p2pnet.turn.allocation import Allocation
from p2pnet.turn.channel_data import is_channel_data
from p2pnet.turn.errors import TurnError
from p2pnet.turn.events import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationReleased,
    DataReceived,
    PermissionRefused,
)
from p2pnet.turn.peers import peer_address
from p2pnet.turn.server import TurnServer

CLOSING: Final = 0.5
"""Seconds for which a server is waited for that is to let go of our address."""
_MISMATCH: Final = 437
"""The server has an allocation for our port already (RFC 8656 §7.2)."""
_ASK_AGAIN: Final = 0.5
"""
Seconds until we ask again if so: coturn says that it has let go of a closed relay, and for up to a
second does not know it itself.
"""
_ASKS: Final = 4


class _State(Enum):
    """
    Where a relay is in its life.
    """

    OPENING = 0
    OPEN = 1
    CLOSING = 2
    OVER = 3


@implementer(IRelay)
class Relay:
    """
    Our address on a relay; see `IRelay`.

    `lost` tells what happens to us, not what we do: it does not fire after `close`, nor when the
    manager stops.

    :param allocate: gives an Allocation that has not been started.
    :param reactor: for its timers only.
    :param clock: seconds, monotonic.
    :param routed: gives the engine's address for a peer of this relay.
    :param deliver: takes what a peer has sent, and the peer's address.
    :param dropped: takes the reason why a datagram was dropped without a word.
    :param ended: is told that there is nothing left of the relay.
    """

    log = Logger()

    def __init__(
        self,
        server: TurnServer,
        allocate: Callable[[], Allocation],
        *,
        reactor: IReactorTime,
        clock: Callable[[], float],
        routed: Callable[[Relay, Address], Address],
        deliver: Callable[[Relay, Address, bytes], None],
        dropped: Callable[[str], None],
        ended: Callable[[Relay], None],
    ) -> None:
        self.server = server
        self.relayed: Address = ("", 0)
        self.lost: Deferred[str] = Deferred()
        self._allocate = allocate
        self._allocation = allocate()
        self._asks = 1
        self._reactor = reactor
        self._clock = clock
        self._routed = routed
        self._deliver = deliver
        self._dropped = dropped
        self._ended = ended
        self._line: Line | None = None
        self._state = _State.OPENING
        self._opened: Deferred[IRelay] | None = None
        self._closed: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0
        self._deadline: IDelayedCall | None = None
        self._again: IDelayedCall | None = None

    # ------------------------------------------------------------ IRelay

    def permit(self, host: str) -> None:
        """
        See `IRelay.permit`.

        :raise ValueError: ``host`` is no literal IP that the relay reaches.
        :raise RudpError: the relay is gone, or 64 hosts are permitted.
        """
        try:
            self._allocation.permit(host, self._clock())
        except TurnError as error:
            raise RudpError(str(error)) from None
        self._run()

    def send(self, remote: Address, data: bytes) -> None:
        """
        See `IRelay.send`.  What cannot be sent is lost, as datagrams are.

        :raise ValueError: ``remote`` is no address that the relay reaches, or ``data`` has over
            65468 bytes.
        """
        self.transmit(remote, data)

    def route(self, remote: Address) -> Address:
        """
        See `IRelay.route`.

        :raise ValueError: ``remote`` is no address that the relay reaches.
        :raise RudpError: as `permit`.
        """
        remote = peer_address(remote, self.relayed)
        self.permit(remote[0])
        return self._routed(self, remote)

    def close(self) -> Deferred[None]:
        return self.close_within(CLOSING)

    # ------------------------------------------------------------ for the manager

    def open(self, line: Line) -> Deferred[IRelay]:
        """
        Ask for an address over ``line``, which is ours from now on.

        :return: fails with `RelayFailed`.  Cancelling gives up.
        """
        self._line = line
        opened: Deferred[IRelay] = Deferred(self._cancelled)
        self._opened = opened
        line.open().addCallbacks(self._begin, self._unreachable)
        return opened

    def close_within(self, patience: float) -> Deferred[None]:
        """
        As `close`, but wait no longer for the server than ``patience`` seconds.
        """
        closed: Deferred[None] = Deferred()
        self._closed.append(closed)
        if self._state is _State.OVER:
            self._fire_closed()
        elif self._state is not _State.CLOSING:
            self._state = _State.CLOSING
            self._deadline = self._reactor.callLater(patience, self._end)
            self._disappoint("the relay has been closed")
            self._allocation.close(self._clock())
            self._run()
        return closed

    def receive(self, data: bytes) -> None:
        """
        Take a message of the server.
        """
        self._allocation.receive(data, self._clock())
        if is_channel_data(data):
            # Nothing comes of it but an event.
            self._tell()
        else:
            self._run()

    def transmit(self, remote: Address, data: bytes, may_fragment: bool = False) -> bool:
        """
        Send a datagram to a peer; false if it was dropped, which is counted.
        """
        line = self._line
        if self._state is not _State.OPEN or line is None:
            self._dropped("relay gone")
            return False
        if line.is_full:
            self._dropped("relay full")
            return False
        try:
            self._allocation.send(remote, data, self._clock())
        except TurnError:
            self._dropped("relay refuses")
            return False
        asked = False
        for message in self._allocation.datagrams_to_send():
            line.send(message, may_fragment)
            asked = asked or not is_channel_data(message)
        if asked:
            # Only questions change the deadlines.
            self._wait()
        return True

    def fail(self, reason: str) -> None:
        """
        There is no way to the server any more.
        """
        was = self._state
        self._end()
        self._disappoint(reason)
        if was is _State.OPEN:
            self.log.info("the relay {where} is lost: {reason}", where=self._where, reason=reason)
            self.lost.callback(reason)

    # ------------------------------------------------------------ inside

    @property
    def _where(self) -> str:
        return written(self.relayed if self.relayed[1] else (self.server.host, self.server.port))

    def _begin(self, _: object) -> None:
        self._allocation.start(self._clock())
        self._run()

    def _unreachable(self, failure: Failure) -> None:
        where = written((self.server.host, self.server.port))
        self.fail(f"no connection with the TURN server {where}: {failure.getErrorMessage()}")

    def _cancelled(self, _: object) -> None:
        self._opened = None
        self.close()

    def _disappoint(self, reason: str) -> None:
        """
        Fail who waits for us to open.
        """
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.errback(RelayFailed(reason))

    def _run(self) -> None:
        """
        Send all, tell all; then wait for the next deadline.
        """
        for message in self._allocation.datagrams_to_send():
            if self._line is not None:
                self._line.send(message, False)
        self._tell()
        self._wait()

    def _tell(self) -> None:
        for event in self._allocation.events():
            match event:
                case DataReceived(peer, data):
                    self._deliver(self, peer, data)
                case Allocated(relayed):
                    self._open(relayed)
                case AllocationFailed(code, reason):
                    if code == _MISMATCH and self._asks < _ASKS:
                        self._asks += 1
                        self._allocation = self._allocate()
                        self._again = self._reactor.callLater(_ASK_AGAIN, self._begin, None)
                    else:
                        self.fail(reason)
                case AllocationLost(reason):
                    self.fail(reason)
                case AllocationReleased():
                    self._end()
                case PermissionRefused(ip, reason):
                    self.log.debug(
                        "relay {where} refuses {ip}: {reason}",
                        where=self._where,
                        ip=ip,
                        reason=reason,
                    )

    def _open(self, relayed: Address) -> None:
        self._state = _State.OPEN
        self.relayed = relayed
        self.log.info(
            "the relay {where} is open", where=self._where, transport=self.server.transport
        )
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.callback(self)

    def _wait(self) -> None:
        deadline = None if self._state is _State.OVER else self._allocation.next_timeout()
        if self._timer is not None and self._timer.active():
            # One that fires too early only looks and waits on.
            if deadline is not None and self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer = None
        if deadline is not None:
            self._timer_at = deadline
            delay = max(0.0, deadline - self._clock())
            self._timer = self._reactor.callLater(delay, self._time_out)

    def _time_out(self) -> None:
        self._allocation.handle_timeout(self._clock())
        self._run()

    def _end(self) -> None:
        """
        Nothing is sent or told from now on.
        """
        if self._state is _State.OVER:
            return
        self._state = _State.OVER
        for call in (self._timer, self._deadline, self._again):
            if call is not None and call.active():
                call.cancel()
        self._ended(self)
        line, self._line = self._line, None
        if self.relayed[1]:
            dropped = dict(self._allocation.dropped)
            self.log.info("the relay {where} is closed", where=self._where, dropped=dropped)
        if line is not None:
            line.close().addCallback(lambda _: self._fire_closed())

    def _fire_closed(self) -> None:
        closed, self._closed = self._closed, []
        for waiting in closed:
            waiting.callback(None)
