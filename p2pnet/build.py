"""
Which build of the core this is: plain Python, or made by mypyc from the same sources.
"""

from __future__ import annotations

from p2pnet.wire import sequence


def is_compiled() -> bool:
    """
    The engine runs as extension modules.
    """
    return not sequence.__file__.endswith(".py")
