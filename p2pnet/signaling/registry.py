"""
A registry from one line of configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pnet.signaling.memory import MemoryRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.interfaces import IRegistry

BACKENDS: Final = ("memory",)
"""What may stand before the colon of a description."""


def registry_from_description(
    description: str,
    clock: Callable[[], float],
    *,
    lease: float = 60.0,
    retention: float = 600.0,
    limit: int = 10_000,
    secret: Callable[[], str],
) -> IRegistry:
    """
    The registry that ``description``, ``backend:arguments``, asks for; the rest as
    `MemoryRegistry`.

    :param description: ``memory:`` is the one backend so far, and takes no arguments.
    :raise ValueError: no such backend, or not with these arguments.
    """
    backend, _, arguments = description.partition(":")
    if backend not in BACKENDS:
        raise ValueError(
            f"registry {description!r}: no backend {backend!r}; there is {', '.join(BACKENDS)}"
        )
    if arguments:
        raise ValueError(f"registry {description!r}: {backend} takes no arguments")
    return MemoryRegistry(clock, lease=lease, retention=retention, limit=limit, secret=secret)
