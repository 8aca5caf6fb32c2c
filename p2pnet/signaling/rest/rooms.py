"""
Rooms: opened by whoever wants one, entered by registering into them.
"""

from __future__ import annotations

from p2pnet.signaling.allowance import TooOften
from p2pnet.signaling.records import MIN_SECRET, NotOwner, RoomTaken, UnknownRoom
from p2pnet.signaling.rest.desk import Desk
from p2pnet.signaling.rest.operations import Answer, operation
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.reading import Call, bad_credentials, invalid
from p2pnet.signaling.rest.shapes import RoomName, RoomOpened, RoomWanted
from p2pnet.signaling.rooms import Busy
from p2pnet.signaling.web import Refused


class RoomEndpoints:
    """
    A room belongs to whoever holds the secret that it was opened with.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @operation(
        "POST",
        "/v1/rooms",
        statuses=(201,),
        signed="Basic",
        begins=True,
        repeatable=True,
        problems=(Kind.EXISTS, Kind.FULL, Kind.TOO_OFTEN),
    )
    async def open(self, call: Call, body: RoomWanted) -> Answer[RoomOpened]:
        """
        Open a room.

        The credentials are the name of the room and a secret of 32 characters or more, which closes
        it. Peers enter by registering with its name and password.
        """
        name, secret = call.shown()
        if name != body.name:
            raise bad_credentials("these are the credentials of another room")
        if len(secret) < MIN_SECRET:
            raise invalid("Authorization", f"needs a secret of {MIN_SECRET} characters or more")
        try:
            made = await self._desk.rooms.open(body.name, body.password, secret)
        except RoomTaken:
            raise Refused.because(
                Kind.EXISTS, "there is a room of that name", field="name"
            ) from None
        except Busy as busy:
            raise TooOften(busy.retry_after) from None
        return Answer(
            RoomOpened(body.name, made), 201, (("Location", f"/v1/rooms/{body.name}"),)
        )

    @operation("DELETE", "/v1/rooms/{name}", statuses=(204,), signed="Basic")
    async def close(self, call: Call, name: RoomName) -> None:
        """
        Close a room; its members are in none then.
        """
        shown, secret = call.shown()
        if shown != name:
            raise bad_credentials("these are the credentials of another room")
        try:
            await self._desk.registry.close_room(name, secret)
        except (UnknownRoom, NotOwner):
            raise bad_credentials("these are not the credentials of a room") from None
