"""
Counters.
"""

from __future__ import annotations


class NetStatistics:
    """
    Datagrams and bytes as they are on the wire, and why arriving ones were dropped.

    :param total: counts what was resent, lost and dropped here, too.
    """

    def __init__(self, total: NetStatistics | None = None) -> None:
        self._total = total
        self.packets_sent = 0
        """Datagrams."""
        self.packets_received = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.packets_resent = 0
        """Transmissions of reliable packets after their first."""
        self.packets_lost = 0
        """Reliable packets of ours sent more than once, and sequenced ones of theirs missed."""
        self.dropped: dict[str, int] = {}
        """Arriving packets not acted on, by reason."""

    @property
    def packet_loss_percent(self) -> float:
        """
        Packets lost per hundred datagrams sent.
        """
        return 100 * self.packets_lost / self.packets_sent if self.packets_sent else 0.0

    def count_resent(self, resent: int, lost: int) -> None:
        """
        Count transmissions after the first, and packets lost.
        """
        self.packets_resent += resent
        self.packets_lost += lost
        if self._total is not None:
            self._total.count_resent(resent, lost)

    def count_drop(self, reason: str) -> None:
        """
        Count an arriving packet that is not acted on.
        """
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        if self._total is not None:
            self._total.count_drop(reason)
