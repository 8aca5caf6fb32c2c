"""
Counts the kinds of packets in a capture, and shows how to read one with `p2pnet.dissect`.

    tcpdump -w game.pcap udp port 9050
    python examples/dissect.py game.pcap

To read the packets themselves there is a command: p2pnet-dissect game.pcap
"""

from __future__ import annotations

import argparse
from collections import Counter

from p2pnet.dissect import Capture, CaptureError, Dissector

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count the kinds of packets in a capture.")
    parser.add_argument("file", help="pcap, pcapng or hex")
    kinds: Counter[str] = Counter()
    dissector = Dissector()
    with open(parser.parse_args().file, "rb") as stream:
        try:
            for datagram in Capture(stream):
                reading = dissector.read(datagram)
                kinds.update(packet.kind for packet in reading.inside or (reading,))
        except CaptureError as error:
            print(f"the capture is broken: {error}")
    for kind, count in kinds.most_common():
        print(f"{count:8} {kind}")
