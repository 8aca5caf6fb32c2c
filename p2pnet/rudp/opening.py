"""
The three ways in which a connection begins (BEHAVIOUR §3).
"""

from __future__ import annotations

from p2pnet.rudp.allowance import Allowance
from p2pnet.rudp.config import Surroundings
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.errors import MessageTooLarge
from p2pnet.rudp.events import ConnectionState
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.rtt import NEVER
from p2pnet.wire.constants import MAX_DATAGRAM_SIZE, Address
from p2pnet.wire.control import ConnectAccept, ConnectRequest
from p2pnet.wire.sockaddr import encode_sockaddr


def dial(
    address: Address,
    connection_time: int,
    number: int,
    data: bytes,
    surroundings: Surroundings,
    now: float,
) -> Connection:
    """
    Ask ``address`` for a connection.

    :raise MessageTooLarge: the request would not fit a datagram.
    """
    target = encode_sockaddr(address)
    request = ConnectRequest(number, connection_time, target, data).encode()
    if len(request) > MAX_DATAGRAM_SIZE:
        raise MessageTooLarge(
            f"{len(data)} bytes of connection data make a datagram of {len(request)}"
        )
    connection = Connection(
        address,
        connection_time,
        number,
        ConnectionState.OUTGOING,
        surroundings,
        now,
        # Who we dial is not a stranger: the application named it.
        Allowance(0, 0),
    )
    connection.say(request, now + surroundings.config.reconnect_delay)
    return connection


def accept(
    request: IncomingRequest, first_ping: int, surroundings: Surroundings, now: float
) -> Connection:
    """
    Let in who asked.

    :param first_ping: the sequence to answer, 1..16383; if unguessable it proves the address.
    """
    connection = Connection(
        request.address,
        request.time,
        request.number,
        ConnectionState.CONNECTED,
        surroundings,
        now,
        Allowance(surroundings.config.amplification_limit, request.received_bytes),
        first_ping,
    )
    connection.say(ConnectAccept(request.time, request.number).encode(), NEVER)
    connection.path.open(now)
    return connection


def refuse(
    request: IncomingRequest, data: bytes, surroundings: Surroundings, now: float
) -> Connection:
    """
    Turn down who asked, until it says that it knows (BEHAVIOUR §3.2).

    :raise MessageTooLarge: the refusal would not fit.
    """
    connection = Connection(
        request.address,
        request.time,
        request.number,
        ConnectionState.SHUTDOWN_REQUESTED,
        surroundings,
        now,
        Allowance(surroundings.config.amplification_limit, request.received_bytes),
    )
    connection.say_goodbye(data, now)
    return connection
