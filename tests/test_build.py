"""
What holds for the core whichever way it was built, as Python or by mypyc.
"""

from __future__ import annotations

import copy
import importlib
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from pathlib import Path

import pytest

from p2pnet.build import is_compiled
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import RudpError
from p2pnet.serialization import (
    INetSerializable,
    NetDataReader,
    NetDataWriter,
    NetSerializer,
    ReadError,
)
from p2pnet.wire.layers import PacketLayer


@pytest.mark.parametrize(
    "name", ["serialization.reader", "wire.packets", "rudp.endpoint", "rudp.reliable"]
)
def test_the_build_is_told_as_it_is(name: str) -> None:
    file = importlib.import_module(f"p2pnet.{name}").__file__
    assert file is not None
    assert is_compiled() == (Path(file).suffix != ".py")


def test_options_can_be_copied_changed_and_pickled() -> None:
    config = EndpointConfig(channels=3)
    assert copy.copy(config) == copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert replace(config, channels=4) == EndpointConfig(channels=4)
    assert hash(replace(config)) == hash(config)
    with pytest.raises(FrozenInstanceError):
        config.channels = 5  # type: ignore[misc]  # that is what is tested


def test_options_can_be_derived_from() -> None:
    @dataclass(frozen=True)
    class Mine(EndpointConfig):
        name: str = ""

    assert replace(Mine(name="mine"), channels=2) == Mine(channels=2, name="mine")


def test_an_object_can_derive_from_the_protocol_that_it_follows() -> None:
    class Point(INetSerializable):
        x = 0

        def serialize(self, writer: NetDataWriter, /) -> None:
            writer.put_int(self.x)

        def deserialize(self, reader: NetDataReader, /) -> None:
            self.x = reader.get_int()

    point = Point()
    point.x = 7
    serializer = NetSerializer()
    data = serializer.serialize(point)
    assert data == b"\7\0\0\0"
    assert serializer.deserialize(Point, NetDataReader(data)).x == 7


def test_a_layer_can_be_derived() -> None:
    class Reversed(PacketLayer):
        def outbound(self, data: bytes) -> bytes:
            return data[::-1]

    assert Reversed().outbound(b"ab") == b"ba"
    assert Reversed().inbound(b"ab") == b"ab"


@pytest.mark.parametrize("base", [RudpError, ReadError])
def test_an_error_can_be_derived_and_caught_as_its_base(base: type[Exception]) -> None:
    mine = type("Mine", (base,), {})
    with pytest.raises(base, match="why"):
        raise mine("why")
