"""
Who registers in the measurements, and the requests they make.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

PORT: Final = 4000
"""That everybody claims to have."""


def peer_id_of(number: int) -> str:
    """
    The peer id of person ``number``.
    """
    return f"00000000-0000-4000-8000-{number:012x}"


def secret_of(number: int) -> str:
    """
    What that person proves to own it with.
    """
    return sha256(b"%d" % number).hexdigest()


def basic(number: int) -> str:
    """
    The credentials that ``/v1`` wants.
    """
    said = f"{peer_id_of(number)}:{secret_of(number)}"
    return f"Basic {b64encode(said.encode()).decode()}"


def register(number: int, username: str = "") -> bytes:
    """
    ``PUT /v1/peers/{peer_id}``.
    """
    body = f'{{"username":"{username or f"p{number}"}","port":{PORT}}}'
    return _request("PUT", f"/v1/peers/{peer_id_of(number)}", basic(number), body)


def register_as_before(number: int) -> bytes:
    """
    ``POST /register``, of before ``/v1``.
    """
    body = f'{{"peer_id":"{peer_id_of(number)}","username":"p{number}","port":{PORT}}}'
    return _request("POST", "/register", f"Bearer {secret_of(number)}", body)


def look_up(number: int) -> bytes:
    """
    ``GET /v1/peers/{peer_id}``.
    """
    return _request("GET", f"/v1/peers/{peer_id_of(number)}")


def look_up_as_before(number: int) -> bytes:
    """
    ``GET /peer/{peer_id}``, of before ``/v1``.
    """
    return _request("GET", f"/peer/{peer_id_of(number)}")


def hello(number: int) -> bytes:
    """
    ``GET /``.
    """
    return _request("GET", "/")


REQUESTS: Final[Mapping[str, Callable[[int], bytes]]] = {
    each.__name__: each
    for each in (register, register_as_before, look_up, look_up_as_before, hello)
}
"""What a person asks for, by name."""


def _request(method: str, path: str, credentials: str = "", body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if credentials:
        lines.append(f"Authorization: {credentials}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
