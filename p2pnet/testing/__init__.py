"""
An internet in memory, for users' tests and our own.
"""

from p2pnet.testing.network import Host, Network

__all__ = ["Host", "Network"]
