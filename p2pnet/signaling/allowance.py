"""
How often somebody may do something: a token bucket for each.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from p2pnet.signaling.addresses import network_of


class TooOften(Exception):
    """
    Somebody does something more often than it may.

    :ivar retry_after: seconds until it may again.
    """

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"again in {retry_after:.1f} s")


@dataclass(slots=True)
class Rate:
    """
    How often: ``burst`` times at once, and ``per_second`` times a second in the long run.

    Whoever holds one sees at once what is changed in it.
    """

    per_second: float
    burst: float


class Allowance:
    """
    Lets each caller act as often as ``rate`` says.

    :param limit: callers remembered; past it the one who acted longest ago is forgotten, which is
        to say forgiven.
    """

    def __init__(self, rate: Rate, *, limit: int) -> None:
        self._rate = rate
        self._limit = limit
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What of its burst a caller has used up, and when that was so."""

    def wait(self, caller: str, now: float) -> float:
        """
        Count one act of ``caller``, unless it comes too early.

        :return: seconds until it may act; 0.0 if it just did.
        """
        per_second, burst = self._rate.per_second, self._rate.burst
        spent = self._left_of(caller, now)
        if spent > burst - 1:
            return (spent - (burst - 1)) / per_second
        self._keep(caller, spent + 1, now)
        return 0.0

    def charge(self, caller: str, acts: float, now: float) -> None:
        """
        What ``caller`` just did was worth that many acts more.
        """
        self._keep(caller, self._left_of(caller, now) + acts, now)

    def refund(self, caller: str) -> None:
        """
        The last act of ``caller`` does not count.
        """
        if caller in self._spent:
            spent, then = self._spent[caller]
            self._spent[caller] = (max(0.0, spent - 1), then)

    def _left_of(self, caller: str, now: float) -> float:
        """
        What a caller has used up, and has not been given again since.
        """
        spent, then = self._spent.get(caller, (0.0, now))
        # The clock may be the wall's, which can step back.
        return max(0.0, spent - max(0.0, now - then) * self._rate.per_second)

    def _keep(self, caller: str, spent: float, now: float) -> None:
        self._spent[caller] = (spent, now)
        self._spent.move_to_end(caller)
        if len(self._spent) > self._limit:
            self._spent.popitem(last=False)

    def spend(self, caller: str, now: float) -> None:
        """
        The same, for who has to act now or not at all.

        :raise TooOften: it comes too early.
        """
        wait = self.wait(caller, now)
        if wait:
            raise TooOften(wait)


class NetworkAllowance:
    """
    The same for strangers, by network: who has one address of a /24 or /64 has many (TRAPS T8).

    :param each: how often one network may act.
    :param total: and all of them together.
    :param limit: networks remembered.
    """

    def __init__(self, each: Rate, total: Rate, *, limit: int = 4096) -> None:
        self._networks = Allowance(each, limit=limit)
        self._all = Allowance(total, limit=1)

    def wait(self, network: str, now: float) -> float:
        """
        Count one act of ``network`` (see `network_of`), unless it comes too early.

        :return: seconds until it may act; 0.0 if it just did.
        """
        return self._networks.wait(network, now) or self._all.wait("", now)

    def charge(self, network: str, acts: float, now: float) -> None:
        """
        What ``network`` just did was worth that many acts more.
        """
        self._networks.charge(network, acts, now)
        self._all.charge("", acts, now)

    def take(self, host: str, now: float) -> bool:
        """
        Whether a literal IP may act once more, which is counted.
        """
        return not self.wait(network_of(host), now)
