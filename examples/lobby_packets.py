"""
What lobby_server.py and lobby_client.py say to each other.

The same packets in C#.  Names and order of the properties are those of the fields here, and
``typeof(T).ToString()`` is what stands in ``clr_type``, so that a Unity client understands this
server, and the other way round::

    namespace Lobby
    {
        public class Join    { public string Name { get; set; } }
        public class Players { public string[] Names { get; set; } }
        public class Joined  { public string Name { get; set; } public ushort Count { get; set; } }
        public class Left    { public string Name { get; set; } public ushort Count { get; set; } }
        public class Chat    { public string Name { get; set; } public string Text { get; set; } }
    }

    var processor = new NetPacketProcessor();
    processor.SubscribeReusable<Lobby.Chat>(chat => Debug.Log(chat.Name + ": " + chat.Text));
    server.Send(processor.Write(new Lobby.Join { Name = "Ann" }), DeliveryMethod.ReliableOrdered);
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnet.serialization import UShort, clr_type

KEY = "Lobby"


@clr_type("Lobby.Join")
@dataclass
class Join:
    """
    The first thing that a client says.
    """

    name: str


@clr_type("Lobby.Players")
@dataclass
class Players:
    """
    Who is there; for one who has just joined.
    """

    names: list[str]


@clr_type("Lobby.Joined")
@dataclass
class Joined:
    """
    For everybody: one more.
    """

    name: str
    count: UShort


@clr_type("Lobby.Left")
@dataclass
class Left:
    """
    For everybody: one less.
    """

    name: str
    count: UShort


@clr_type("Lobby.Chat")
@dataclass
class Chat:
    """
    A line, to the server or from it.
    """

    name: str
    """The server fills it in: nobody speaks in another's name."""
    text: str
