"""
Packets that say what they are, as C# ``NetPacketProcessor`` has them (SERIALIZATION §4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from p2pnet.serialization.objects import Called
from p2pnet.serialization.reader import NetDataReader, ReadError
from p2pnet.serialization.serializer import NetSerializer
from p2pnet.serialization.typehash import hash_of
from p2pnet.serialization.writer import NetDataWriter

T = TypeVar("T")
M = TypeVar("M", contravariant=True)
Method = TypeVar("Method")


class Sends(Protocol[M]):
    """
    A peer: what takes messages, and by what method they are to go.
    """

    def send(self, data: bytes, method: M = ..., channel: int = 0) -> None:
        """
        Send a message.
        """


class SendsToAll(Protocol[M]):
    """
    A manager: what takes messages for all its peers.
    """

    def send_to_all(self, data: bytes, method: M = ..., channel: int = 0) -> None:
        """
        Send a message to each.
        """


class UnknownPacket(ReadError):
    """
    Nobody has subscribed to packets of this type.

    ``hash``: of the type.
    """

    def __init__(self, hash: int, position: int) -> None:
        super().__init__(f"packet of unknown type 0x{hash:016x} at position {position}")
        self.hash = hash


class _Packets(NamedTuple):
    """
    The packets of one class: their first 8 bytes, and the layout of the rest.
    """

    prefix: bytes
    layout: Called


class _Subscription(NamedTuple):
    """
    How a packet is read, and who gets it with the user data.
    """

    read: Callable[[NetDataReader], Any]
    callback: Callable[[Any, Any], object]


class NetPacketProcessor:
    """
    Writes packets with the hash of their type in front, and calls who has subscribed to it.

    A packet class is an annotated or an `INetSerializable` class with the decorator `clr_type`.

    :param max_string_length: as `NetSerializer` has it.
    """

    def __init__(self, max_string_length: int = 0) -> None:
        self._serializer = NetSerializer(max_string_length)
        self._packets: dict[type, _Packets] = {}
        self._classes: dict[int, type] = {}
        self._subscriptions: dict[int, _Subscription] = {}

    def register(self, cls: type) -> None:
        """
        Compile a packet class, so that its mistakes are found now.

        :raise InvalidType: as `NetSerializer.register`, or it has no `clr_type`.
        :raise ValueError: another class has the same.
        """
        self._packets_of(cls)

    def register_nested_type(
        self,
        cls: type[T],
        *,
        constructor: Callable[[], T] | None = None,
        write: Callable[[NetDataWriter, T], object] | None = None,
        read: Callable[[NetDataReader], T] | None = None,
    ) -> None:
        """
        As `NetSerializer.register_nested_type`.
        """
        self._serializer.register_nested_type(
            cls, constructor=constructor, write=write, read=read
        )

    def write(self, packet: object) -> bytes:
        """
        The bytes of a packet.

        :raise WriteError: a value does not fit its field; the text names both.
        :raise InvalidType: see `register`.
        :raise ValueError: see `register`.
        """
        cls = packet.__class__
        prefix, layout = self._packets.get(cls) or self._packets_of(cls)
        return prefix + layout.encode(packet)

    def write_to(self, writer: NetDataWriter, packet: object) -> None:
        """
        Put the bytes of a packet behind those that are there; raises as `write`, all or nothing.
        """
        writer.put_bytes(self.write(packet))

    def send(
        self,
        peer: Sends[Method],
        packet: object,
        method: Method | None = None,
        channel: int = 0,
    ) -> None:
        """
        Send a packet to a peer; raises as `write` and as ``peer.send``.

        :param method: by default that of ``peer.send``, which is RELIABLE_ORDERED.
        """
        data = self.write(packet)
        if method is None:
            peer.send(data, channel=channel)
        else:
            peer.send(data, method, channel)

    def send_to_all(
        self,
        manager: SendsToAll[Method],
        packet: object,
        method: Method | None = None,
        channel: int = 0,
    ) -> None:
        """
        Send a packet to all peers; raises as `write` and as ``manager.send_to_all``.

        :param method: by default that of ``manager.send_to_all``, which is RELIABLE_ORDERED.
        """
        data = self.write(packet)
        if method is None:
            manager.send_to_all(data, channel=channel)
        else:
            manager.send_to_all(data, method, channel)

    def subscribe(
        self,
        cls: type[T],
        callback: Callable[[T, Any], object],
        constructor: Callable[[], T] | None = None,
    ) -> None:
        """
        Call ``callback(packet, user_data)`` with a new object for each packet.

        It takes the place of what was subscribed to this class before.

        :param constructor: makes the object, whose fields are set then; see `NetSerializer` for
            what happens without.
        :raise InvalidType: see `register`, or objects that ``constructor`` makes cannot be changed.
        :raise ValueError: see `register`.
        """
        layout = self._packets_of(cls).layout
        if constructor is None:
            self._subscribe(cls, layout.take, callback)
        else:
            make = constructor
            changeable = self._serializer.changeable(cls)
            self._subscribe(cls, lambda reader: changeable.take(reader, make()), callback)

    def subscribe_reusable(self, cls: type[T], callback: Callable[[T, Any], object]) -> None:
        """
        As `subscribe`, with one object for all packets: the first makes it, each sets its fields.

        :raise InvalidType: see `register`, or such objects cannot be changed.
        :raise ValueError: see `register`.
        """
        self._packets_of(cls)
        layout = self._serializer.changeable(cls)
        shared: T | None = None

        def read(reader: NetDataReader) -> T:
            nonlocal shared
            packet: T = layout.take(reader, shared)
            shared = packet
            return packet

        self._subscribe(cls, read, callback)

    def remove_subscription(self, cls: type) -> bool:
        """
        Packets of this class are unknown from now on.

        :return: they were not before.
        :raise InvalidType: it has no `clr_type`.
        """
        return self._subscriptions.pop(hash_of(cls), None) is not None

    def read_packet(self, reader: NetDataReader, user_data: Any = None) -> None:
        """
        Read one packet in full, then call who has subscribed to it.

        What is raised but by that callback leaves the reader at the beginning of the packet.

        :raise UnknownPacket: nobody has.
        :raise ReadError: it is not there in full, or is none.
        """
        start = reader.position
        hash = reader.get_ulong()
        subscription = self._subscriptions.get(hash)
        try:
            if subscription is None:
                raise UnknownPacket(hash, start)
            packet = subscription.read(reader)
        except BaseException:
            reader.position = start
            raise
        subscription.callback(packet, user_data)

    def read_all_packets(self, reader: NetDataReader, user_data: Any = None) -> None:
        """
        Read packets until nothing is left.

        The first that raises, as `read_packet` does, ends this; those before it have been told.
        """
        while not reader.end_of_data:
            self.read_packet(reader, user_data)

    def _subscribe(
        self,
        cls: type,
        read: Callable[[NetDataReader], Any],
        callback: Callable[[Any, Any], object],
    ) -> None:
        self._subscriptions[hash_of(cls)] = _Subscription(read, callback)

    def _packets_of(self, cls: type) -> _Packets:
        known = self._packets.get(cls)
        if known is not None:
            return known
        hash = hash_of(cls)
        layout = self._serializer.layout(cls)
        other = self._classes.setdefault(hash, cls)
        if other is not cls:
            raise ValueError(
                f"{cls.__qualname__} and {other.__qualname__} have the same CLR type, "
                f"or the same hash of it: 0x{hash:016x}"
            )
        self._packets[cls] = made = _Packets(hash.to_bytes(8, "little"), layout)
        return made
