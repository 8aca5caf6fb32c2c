"""
Counters.
"""

from __future__ import annotations


class NetStatistics:
    """
    Datagrams and bytes as they are on the wire, and why arriving ones were dropped.
    """

    def __init__(self) -> None:
        self.packets_sent = 0
        self.packets_received = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.packets_resent = 0
        """Reliable packets that had to be sent again."""
        self.dropped: dict[str, int] = {}
        """Arriving packets not acted on, by reason."""

    def count_drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
