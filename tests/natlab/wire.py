"""
A cable with a delay: two TAP devices, one of which is moved to another namespace.

``wire.py OUR-END THEIR-END THEIR-NAMESPACE SECONDS``.  Both ends vanish with the process.  A kernel
may lack netem; this needs /dev/net/tun alone.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from typing import Final

_TUNSETIFF: Final = 0x400454CA
_TAP_NO_PI: Final = 0x0002 | 0x1000


def tap(name: str) -> int:
    """
    A new TAP device; it lives as long as the file descriptor.
    """
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_NO_PI))
    return device


def main() -> None:
    """
    Carry frames until killed.
    """
    ours, theirs, namespace, delay = sys.argv[1:]
    ends = [tap(ours), tap(theirs)]
    subprocess.run(["ip", "link", "set", theirs, "netns", namespace], check=True)
    print("ready", flush=True)
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    # All take equally long, so that they leave in the order in which they came.
    flight: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(0.0, flight[0][0] - time.monotonic()) if flight else None
        readable = select.select(ends, [], [], wait)[0]
        due = time.monotonic() + float(delay)
        for end in readable:
            try:
                flight.append((due, other[end], os.read(end, 65536)))
            except BlockingIOError:
                continue
        while flight and flight[0][0] <= time.monotonic():
            _, end, frame = flight.popleft()
            try:
                os.write(end, frame)
            except OSError:
                # A device is down, or its queue full: a packet is lost.
                continue


if __name__ == "__main__":
    main()
