"""
Decodes captured LiteNetLib traffic: ``p2pnet-dissect``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Final

from p2pnet.dissect.capture import Capture
from p2pnet.dissect.lines import json_line, text_lines
from p2pnet.dissect.reading import Dissector
from p2pnet.dissect.source import CaptureError
from p2pnet.wire.layers import named_layer

_ABOUT: Final = """\
Decode LiteNetLib 0.9.5 traffic. FILE is a capture of tcpdump (pcap) or Wireshark (pcapng), or text:
one datagram in hex a line, or what tcpdump -x or -X prints. Times are UTC.
"""
_NOTES: Final = """\
examples:
  p2pnet-dissect game.pcap
  tcpdump -i any -U -w - udp port 9050 | p2pnet-dissect -
  p2pnet-dissect --protocol-layer xor:secret --json game.pcap

Every line is one datagram: time, source > destination, kind, and name=value for what it says.
Packets inside a merged datagram and NAT messages follow, indented. malformed= says why a receiver
drops a packet. captured=A/B: only A of B bytes are in the capture. What a kernel sends or takes in
one call (UDP GSO, GRO) and a capture shows as one is told as the datagrams that it is.

With --json: time is unix seconds; bytes are hex; connection_time, clock and the times of NTP are
.NET ticks; packets are those inside.

Exit status: 0, or 1 if the file could not be read to its end; what came before is printed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Print what a capture says.

    :return: the exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        with _opened(options.file) as stream:
            return _print(stream, options)
    except BrokenPipeError:
        # Whoever read has enough.  Python would complain when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _complain(options.file, str(error.strerror))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _print(stream: BinaryIO, options: argparse.Namespace) -> int:
    capture = Capture(stream)
    dissector = Dissector(options.protocol_layer, options.packet)
    try:
        for captured in capture:
            ends = (captured.source, captured.destination)
            if options.port and not any(end and end[1] in options.port for end in ends):
                continue
            for datagram in dissector.split(captured):
                reading = dissector.read(datagram)
                if options.json:
                    print(json_line(datagram, reading))
                else:
                    print(*text_lines(datagram, reading, options.bytes), sep="\n")
            # Somebody may be waiting for it at the other end of a pipe.
            sys.stdout.flush()
    except CaptureError as error:
        _complain(options.file, str(error))
        return 1
    finally:
        for reason, count in capture.skipped.items():
            _complain(options.file, f"skipped {count}: {reason}")
    return 0


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
    else:
        with open(path, "rb") as stream:
            yield stream


def _complain(path: str, text: str) -> None:
    print(f"p2pnet-dissect: {'stdin' if path == '-' else path}: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "p2pnet-dissect",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="what to read; - is stdin")
    parser.add_argument(
        "--port",
        type=_port,
        action="append",
        metavar="N",
        help="only datagrams from or to this UDP port; may be given more than once",
    )
    parser.add_argument(
        "--protocol-layer",
        type=named_layer,
        metavar="LAYER",
        help="none, crc32c, xor:TEXT or xorhex:HEX (none)",
    )
    parser.add_argument(
        "--packet",
        action="append",
        default=[],
        metavar="CLR.TYPE.NAME",
        help="name the packets of this class that a NetPacketProcessor sends; more than once, too",
    )
    parser.add_argument(
        "--bytes", type=_count, default=32, metavar="N", help="bytes of a message to show (32)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError
    return count


if __name__ == "__main__":
    sys.exit(main())
