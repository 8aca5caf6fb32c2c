"""
A bad network, described.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conditions:
    """
    What happens to datagrams that arrive; LiteNetLib's options and defaults (BEHAVIOUR §13).

    :raise ValueError: a value out of range; the text names it.
    """

    packet_loss: bool = False
    """Lose some."""
    packet_loss_chance: float = 10.0
    """Percent of the datagrams that are lost."""
    latency: bool = False
    """Delay all."""
    min_latency: float = 0.03
    """Seconds."""
    max_latency: float = 0.1
    """Seconds; every datagram is late by a time between the two, so some overtake others."""

    def __post_init__(self) -> None:
        if not 0 <= self.packet_loss_chance <= 100:
            raise ValueError(
                f"packet_loss_chance must be in 0..100 percent, not {self.packet_loss_chance}"
            )
        if not 0 <= self.min_latency <= self.max_latency < 60:
            raise ValueError(
                f"min_latency and max_latency must be in 0..60 s and in order, "
                f"not {self.min_latency} and {self.max_latency}"
            )
