"""
Empties the connection table of the namespace it runs in, as ``conntrack -F`` does.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import Final

_NETLINK_NETFILTER: Final = 12
_DELETE: Final = 1 << 8 | 2
"""Of subsystem CTNETLINK: IPCTNL_MSG_CT_DELETE."""
_REQUEST_ACK: Final = 5


def main() -> None:
    """
    Ask the kernel, and wait for its answer.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        # nlmsghdr, then nfgenmsg without attributes: all connections.
        netlink.send(struct.pack("=IHHII4x", 20, _DELETE, _REQUEST_ACK, 1, 0))
        error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if error:
        sys.exit(os.strerror(-error))


if __name__ == "__main__":
    main()
