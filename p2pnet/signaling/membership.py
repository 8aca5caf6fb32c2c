"""
Stays registered with a daemon, and associated with its engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger

from p2pnet.interfaces import Address, RudpError
from p2pnet.signaling.association import Association, Detour, Unusable
from p2pnet.signaling.directory import Directory, NoAnswer, Refused
from p2pnet.signaling.shapes import (
    About,
    Candidates,
    Ended,
    Find,
    Found,
    Offer,
    Registered,
    Seek,
    SeekRefused,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.interfaces import INetManager, KnownPeer

FAREWELL: Final = 1.0
"""Seconds that unregistering may hold up the end of the process."""
BACKOFF: Final = 2.0
"""Seconds: the most we wait after a first failure; doubled by each further one."""
MAX_BACKOFF: Final = 30.0
"""Seconds; doubled no further."""
MIN_BACKOFF: Final = 1.0
"""Seconds; we wait that long at least."""
SOON: Final = 0.5
"""Seconds: the most we wait before we turn to another server, so that not all come at once."""
MAX_WAIT: Final = 300.0
"""Seconds for which a server can send us away at most."""
MIN_REFRESH: Final = 1.0
"""Seconds between two refreshes at least, whatever lease the server names."""
MAX_REFRESH: Final = 600.0
"""Seconds between two refreshes at most."""


class Member(Protocol):
    """
    Who hears of the membership.
    """

    def registered(self, answer: Registered) -> None:
        """
        The daemon has our registration, or has renewed it.
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

    def parted(self) -> None:
        """
        The association is over.
        """


class Membership(Service):
    """
    Keeps ``peer_id`` registered with the daemon, and associated with its engine from the socket of
    ``manager``.

    :param manager: must be running when we are started, and stop after us.
    :param clock: for timers; whatever it counts from.
    :param resolve: a host name to a literal IP, without blocking.
    :param random: draws from [0, 1), to spread retries.
    :param local_address: our own address on the way to a literal IP; may raise ``OSError``.
    :param secret: unguessable: what the daemon is to know us by.  It is ours from the start, so
        that an answer which is lost does not shut us out.

    :ivar username: under which we are registered, or will be.
    :ivar status: for a person: what the matter is, or that nothing is.
    :ivar away: nobody looks.
    :ivar secret: what the daemon knows us by; None before it does.
    """

    _log = Logger()

    def __init__(
        self,
        manager: INetManager,
        directory: Directory,
        member: Member,
        detour: Detour,
        *,
        peer_id: str,
        username: str,
        clock: IReactorTime,
        resolve: Callable[[str], Deferred[str]],
        random: Callable[[], float],
        local_address: Callable[[str], str],
        secret: str,
    ) -> None:
        self.peer_id = peer_id
        self.username = username
        self.status = "not started"
        self.secret: str | None = None
        self.away = False
        self._own_secret = secret
        self._manager = manager
        self._directory = directory
        self._member = member
        self._clock = clock
        self._random = random
        self._association = Association(
            manager,
            self,
            detour,
            host=lambda: directory.host,
            resolve=resolve,
            local_address=local_address,
        )
        self._registering = DeferredLock()
        self._renaming: set[Deferred[Registered]] = set()
        self._failures = 0
        self._timer: IDelayedCall | None = None
        self._effort: Deferred[Any] | None = None

    # ------------------------------------------------------------ Service

    def startService(self) -> None:
        """
        Register now, and stay so.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self.status = f"registering with {self._directory.server}"
        self._try()

    def stopService(self) -> Deferred[None]:
        """
        Unregister, waiting for that no longer than a second; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for under_way in [self._effort, *self._renaming]:
            if under_way is not None:
                under_way.cancel()
        self._association.close()
        self.status = "stopped"
        secret, self.secret = self.secret, None
        if secret is None:
            return succeed(None)
        farewell = Deferred.fromCoroutine(self._directory.unregister(self.peer_id, secret))
        farewell.addTimeout(FAREWELL, self._clock)
        # The lease ends by itself.
        return farewell.addErrback(lambda _: None)

    # ------------------------------------------------------------ what one sees

    @property
    def online(self) -> bool:
        """
        Registered, and the association stands.
        """
        return self.external is not None

    @property
    def external(self) -> Address | None:
        """
        Where the daemon sees us.
        """
        return self._association.external

    @property
    def silence(self) -> float:
        """
        Seconds since the daemon's engine was heard; 0 without an association.
        """
        return self._association.silence

    # ------------------------------------------------------------ commands

    def send(self, message: Find | Seek | Candidates | About | Ended) -> bool:
        """
        Say something to the daemon; false if there is no association to say it over.
        """
        return self._association.send(message)

    def rename(self, username: str) -> Deferred[Registered]:
        """
        Register under another name.  Stopping cancels it.

        :raise NoAnswer: see `Directory`.
        :raise Refused: see `Directory`.
        """
        renaming: Deferred[Registered] = Deferred.fromCoroutine(self._register(username))
        self._renaming.add(renaming)

        def done(result: Registered | Failure) -> Registered | Failure:
            self._renaming.discard(renaming)
            return result

        return renaming.addBoth(done)

    def moved(self) -> None:
        """
        The daemon's engine sees us elsewhere by now: associate from there, at once.
        """
        if self._association.is_open and self._effort is None:
            self._association.close(moved=True)
            self.status = "our address has changed"
            self._try()

    # ------------------------------------------------------------ staying registered

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
        if not self._association.is_open:
            await self._association.open(answer, self._register)
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
                answer = await self._directory.register(
                    self.peer_id, name, port, self._own_secret, away=self.away
                )
            except Refused as refused:
                if refused.status != 404:
                    raise
                # Whose lease ended long ago is nobody, and may come anew.
                answer = await self._directory.register(self.peer_id, name, port, None)
            if isinstance(answer.secret, str):
                self._own_secret = answer.secret
            self.secret = self._own_secret
            self.username = name
            self._member.registered(answer)
            return answer
        finally:
            self._registering.release()

    async def peers(self) -> list[KnownPeer]:
        """
        Who we may see.  Raises as `Directory`.
        """
        return await self._directory.peers(self.peer_id, self.secret)

    def _succeeded(self, refresh: float) -> None:
        self._effort = None
        if not self._association.is_open:
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
        if isinstance(error, Refused) and _is_anothers(error):
            problem = f"{server}: somebody else is registered as {self.peer_id}"
        elif isinstance(error, Refused):
            problem = f"{server} refuses us: {error}"
        elif isinstance(error, NoAnswer | Unusable):
            problem = str(error)
        elif isinstance(error, RudpError | OSError):
            problem = f"{server}: no association ({error})"
        else:
            self._log.failure("registering", failure)
            problem = f"registering failed: {type(error).__name__}"
        wait = error.retry_after if isinstance(error, Refused | NoAnswer) else 0.0
        if self._association.is_open or isinstance(error, Refused):
            self._again(problem, wait)
        else:
            self._elsewhere(problem, wait)

    def _elsewhere(self, problem: str, wait: float = 0.0) -> None:
        """
        Turn to the next server; when all have failed, after a while.

        :param wait: seconds for which the present one wants not to be asked.
        """
        if not self._directory.move_on() or not self._directory.has_others:
            self._again(problem, wait)
            return
        self.status = f"{problem}; turning to {self._directory.server}"
        self._log.warn("{status!r}", status=self.status)
        self._schedule(SOON * self._random())

    def _again(self, problem: str | None = None, wait: float = 0.0) -> None:
        # Those who were told to wait for the same time do not all come at its end.
        wait = min(wait, MAX_WAIT) * (1 + self._random() / 2)
        delay = max(self._backoff(), wait)
        if problem is not None:
            if not self.online:
                self.status = f"{problem}; trying again in {delay:.0f} s"
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

    # ------------------------------------------------------------ the association

    def arrived(self) -> None:
        """
        The daemon let us in; it has yet to see that we answer.
        """
        self.status = f"waiting for the welcome of {self._directory.server}"

    def welcomed(self, welcome: Welcome, facilitator: Address) -> None:
        """
        We are online.
        """
        self.status = f"registered with {self._directory.server}"
        self._failures = 0
        self._directory.stay()
        self._member.welcomed(welcome, facilitator)

    def told(self, message: Found | Offer | SeekRefused | Candidates) -> None:
        """
        Not for us.
        """
        self._member.told(message)

    def leaving(self, retry_after: float) -> None:
        """
        Go to another daemon at once, or come back when there is one again.
        """
        server = self._directory.server
        self._association.close()
        if self._effort is not None:
            return
        if self._directory.has_others:
            self._elsewhere(f"{server} is about to end")
            return
        delay = max(MIN_BACKOFF, retry_after * (0.5 + self._random() / 2))
        self.status = f"{server} is about to end; coming back in {delay:.0f} s"
        self._schedule(delay)

    def parted(self, why: str | None) -> None:
        """
        Associate again, with a fresh ticket.
        """
        self._member.parted()
        if why is None or self._effort is not None:
            return
        problem = f"{self._directory.server}: association lost ({why})"
        if not self._directory.has_others:
            self._again(problem)
            return
        # Perhaps it is only the association: if the daemon has gone, the next one's turn comes.
        self.status = f"{problem}; registering again"
        self._log.warn("{status!r}", status=self.status)
        self._schedule(SOON * self._random())


def _is_anothers(refused: Refused) -> bool:
    return refused.status in (401, 403) and refused.kind in ("", "not-owner")
