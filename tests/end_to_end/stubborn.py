"""
A peer that does not go when it is told to, in the hands of a test.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from p2pnet.interfaces import DisconnectInfo, INetPeer
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manual import ManualNetManager
from p2pnet.serialization import NetDataWriter
from tests.end_to_end.servers import LOCAL, ask, registration


class StubbornPeer:
    """
    Registered at the server on a port of this machine.

    :ivar answer: to its registration.
    :ivar told: by the server, over the association.
    :ivar ended: how associations have ended.
    """

    def __init__(self, http: int, name: str) -> None:
        self.told: list[dict[str, Any]] = []
        self.ended: list[DisconnectInfo] = []
        listener = EventBasedNetListener()
        listener.network_receive_event += lambda peer, data, *_: self.told.append(json.loads(data))
        listener.peer_disconnected_event += self._disconnected
        self._manager = ManualNetManager(listener, interface=LOCAL)
        self._manager.start()
        answered = ask(http, "/register", method="POST", body=registration(name))
        assert answered is not None
        self.answer: dict[str, Any] = answered.json

    def associate(self) -> None:
        """
        Ask the engine to be let in.
        """
        writer = NetDataWriter()
        writer.put_string(self.answer["ticket"])
        writer.put_endpoint((LOCAL, self._manager.local_port))
        self._manager.connect((LOCAL, self.answer["udp"]["port"]), writer.data())

    def until(self, look: Callable[[], object], what: str, timeout: float = 20.0) -> None:
        """
        Live, until `look` finds something.
        """
        deadline = time.monotonic() + timeout
        while not look():
            assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
            self.live()
            time.sleep(0.005)

    def live(self) -> None:
        """
        Receive and send what there is.
        """
        self._manager.receive()
        self._manager.poll()
        self._manager.update()

    def words(self) -> list[str]:
        """
        The types of what it was told.
        """
        return [each["type"] for each in self.told]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.stop()

    def _disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self.ended.append(info)
