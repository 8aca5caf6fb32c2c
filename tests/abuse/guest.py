"""
Somebody who registers, and may associate: honest or not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from secrets import token_hex
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from p2pnet.interfaces import DisconnectInfo, INetPeer
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manual import ManualNetManager
from p2pnet.serialization import NetDataWriter
from tests.abuse.house import HOME, PATIENCE, House, Reply, Stranger, basic, statuses


class Guest:
    """
    A peer of a stranger's.

    :ivar id: its peer id.
    :ivar secret: its secret.
    :ivar who: at whose address it is.
    :ivar told: by the server, over the association.
    :ivar ended: how its associations have ended.
    """

    def __init__(self, house: House, who: Stranger | None = None, id: str | None = None) -> None:
        self.id = id or str(uuid4())
        self.secret = token_hex(16)
        self.who = who or house.stranger()
        self.told: list[dict[str, Any]] = []
        self.ended: list[DisconnectInfo] = []
        self._house = house
        self._server: INetPeer | None = None
        listener = EventBasedNetListener()
        listener.network_receive_event += lambda peer, data, *_: self._hear(peer, data)
        listener.peer_disconnected_event += lambda peer, info: self.ended.append(info)
        self._engine = ManualNetManager(listener, interface=self.who.host)

    def put(self, **more: Any) -> Reply:
        """
        Register, or change the registration.
        """
        body = {"username": "somebody", "port": 4000, **more}
        return self.who.ask("PUT", f"/v1/peers/{self.id}", body, by=(self.id, self.secret))

    def put_often(self, names: Iterable[str]) -> None:
        """
        Change the name, several times in one connection.
        """
        credentials = basic(self.id, self.secret)["Authorization"]
        requests = []
        for name in names:
            body = json.dumps({"username": name, "port": 4000})
            requests.append(
                f"PUT /v1/peers/{self.id} HTTP/1.1\r\nAuthorization: {credentials}\r\nHost: x\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            )
        requests.append("GET /v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = self.who.say("".join(requests).encode())
        assert set(statuses(answers)) == {200}, answers[-900:]

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
        """
        One request, with its credentials.
        """
        return self.who.ask(method, path, body, by=(self.id, self.secret), **more)

    def ticket(self) -> str:
        """
        A new one.
        """
        reply = self.put()
        assert reply.status in (200, 201), reply
        ticket: str = reply.json["ticket"]
        return ticket

    def knock(self, ticket: str) -> None:
        """
        Ask the engine to be let in.
        """
        writer = NetDataWriter()
        writer.put_string(ticket)
        writer.put_endpoint((self.who.host, 4000))
        self._engine.start()
        self._engine.connect((HOME, self._house.udp), writer.data())

    def associate(self) -> None:
        """
        Register, and get in.
        """
        self.knock(self.ticket())
        self.hear("welcome")

    def say(self, message: dict[str, Any]) -> None:
        """
        Tell the server something.
        """
        assert self._server is not None
        self._server.send(json.dumps(message).encode())
        self.live()

    def hear(self, kind: str) -> dict[str, Any]:
        """
        The next message of that type; what has been heard before does not count.
        """
        self.until(lambda: [each for each in self.told if each["type"] == kind], kind)
        found = next(each for each in self.told if each["type"] == kind)
        self.told.remove(found)
        return found

    def refusal(self) -> str:
        """
        Why it was not let in.
        """
        self.until(lambda: self.ended, "a refusal")
        reason: str = json.loads(self.ended.pop().data)["reason"]
        return reason

    def until(self, look: Any, what: str) -> None:
        """
        Live, until ``look`` finds something.
        """
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}; {self.told}"
            self.live()
            time.sleep(0.002)

    def live(self) -> None:
        """
        Receive and send what there is.
        """
        self._engine.receive()
        self._engine.poll()
        self._engine.update()

    def _hear(self, server: INetPeer, data: bytes) -> None:
        self._server = server
        self.told.append(json.loads(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.stop()
