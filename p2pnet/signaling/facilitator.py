"""
Introduces any two LiteNetLib programs that name the same token (WIRE §8, BEHAVIOUR §16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zope.interface import implementer

from p2pnet.interfaces import Address, INatPunchListener, NatAddressType
from p2pnet.signaling.addresses import passed_on, same_host
from p2pnet.signaling.allowance import NetworkAllowance
from p2pnet.signaling.limits import Limits

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import INatPunchModule

LIFETIME: Final = 30.0
"""Seconds for which a token waits for its second."""
MAX_WAITING: Final = 4096
"""Tokens; the one that waits longest gives way."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    internal: Address
    external: Address
    expires: float


@implementer(INatPunchListener)
class Facilitator:
    """
    Pairs requests by token: the first waits, the next from another endpoint is introduced to it.

    Who guesses a token is introduced to who waits for its partner: a token is to be unguessable
    (TRAPS T7), and proves nothing.

    Anybody may ask, in anybody's name: a request is worth one pair of introductions, which the
    engine repeats for a second, and is limited per network (PITFALLS C7, TRAPS T8).

    :param nat: tells the two; we become its listener.
    :ivar drops: requests that went over the limit, or named no token.
    """

    def __init__(
        self, nat: INatPunchModule, *, clock: IReactorTime, limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        self.drops = 0
        self._nat = nat
        self._clock = clock
        self._allowance = NetworkAllowance(limits.facilitations, limits.facilitations_in_all)
        self._waiting: dict[str, _Waiting] = {}
        """By token, in order of expiry."""
        nat.init(self)

    def nat_introduction_request(self, internal: Address, external: Address, token: str) -> None:
        """
        Somebody asks for whoever else names ``token``.
        """
        now = self._clock.seconds()
        # A token too long for LiteNetLib comes out empty, and would bring strangers together.
        if not token or not self._allowance.take(external[0], now):
            self.drops += 1
            return
        self._forget_expired(now)
        first = self._waiting.pop(token, None)
        if first is None or first.external == external:
            # Who asks again has lost patience, or moved inside its network.
            if len(self._waiting) >= MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._waiting[token] = _Waiting(internal, external, now + LIFETIME)
            return
        together = same_host(first.external[0], external[0])
        self._nat.introduce(
            passed_on(first.internal, first.external, together),
            first.external,
            passed_on(internal, external, together),
            external,
            token,
        )

    def nat_introduction_success(self, target: Address, kind: NatAddressType, token: str) -> None:
        """
        Nothing: nobody introduces us.
        """

    def _forget_expired(self, now: float) -> None:
        while self._waiting:
            token, oldest = next(iter(self._waiting.items()))
            if now < oldest.expires:
                return
            del self._waiting[token]
