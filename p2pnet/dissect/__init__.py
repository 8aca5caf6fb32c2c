"""LiteNetLib traffic as lines to read: :mod:`p2pnet.dissect.main`, ``p2pnet-dissect``."""

from p2pnet.dissect.capture import Capture
from p2pnet.dissect.frames import Datagram
from p2pnet.dissect.lines import json_line, text_lines
from p2pnet.dissect.reading import Dissector, Reading
from p2pnet.dissect.source import CaptureError

__all__ = [
    "Capture",
    "CaptureError",
    "Datagram",
    "Dissector",
    "Reading",
    "json_line",
    "text_lines",
]
