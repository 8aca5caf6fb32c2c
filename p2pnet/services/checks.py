"""
What a setting may be.  Each check returns its argument, or raises ``ValueError`` saying why not.

The texts become the end of an error line that begins with the option's name.
"""

from __future__ import annotations

import math
import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.protocol import Factory

from p2pnet.reach.policy import RelayPolicy
from p2pnet.signaling.addresses import host_of, literal_ip
from p2pnet.signaling.records import valid_peer_id
from p2pnet.signaling.registry import registry_from_description
from p2pnet.signaling.turn import relay_servers
from p2pnet.text import username_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IStreamServerEndpoint

MAX_PORT: Final = 65535
"""The highest port there is."""
ON: Final = "on"
"""What a switch is set to that is not off."""

MAX_SECRET: Final = 4096
"""Bytes of a file with a secret."""

_CONSOLE_KINDS: Final = ("tcp", "tcp6", "unix", "stdio")


class Binding(NamedTuple):
    """
    What a TCP endpoint listens on; an empty interface means all of them.
    """

    interface: str
    port: int


class _Notebook:
    """
    Stands where a reactor would and writes down what it is asked to listen on.
    """

    binding: Binding | None = None

    def listenTCP(
        self, port: int, factory: object, backlog: int = 50, interface: str = ""
    ) -> None:
        self.binding = Binding(interface, port)


def tcp_binding(description: str) -> Binding | None:
    """
    What the endpoint ``description`` would listen on, without listening.

    :return: None if it is not plain TCP.

    :raise ValueError: it is no endpoint.
    """
    notebook = _Notebook()
    endpoint = _parse(notebook, description)
    if isinstance(endpoint, TCP4ServerEndpoint | TCP6ServerEndpoint):
        endpoint.listen(Factory())  # type: ignore[no-untyped-call]  # Twisted's, not annotated
    return notebook.binding


def endpoint(description: str) -> str:
    """
    A Twisted server endpoint, such as ``tcp:8000:interface=127.0.0.1``.
    """
    binding = tcp_binding(description)
    if binding is not None:
        port(binding.port)
    return description


def console_endpoint(description: str) -> str:
    """
    An endpoint that only this machine can reach, since the console has no password (TRAPS T26).
    """
    binding = tcp_binding(endpoint(description))
    if binding is not None and not _is_loopback(binding.interface):
        raise ValueError(
            f"{description!r} would let anybody on the network type here, for the console has no"
            f" password; write tcp:{binding.port}:interface=127.0.0.1"
        )
    if description.partition(":")[0] not in _CONSOLE_KINDS:
        raise ValueError(
            f"{description!r}: a console listens on one of {', '.join(_CONSOLE_KINDS)}"
        )
    return description


def port(number: int) -> int:
    """
    A port; 0 asks the system for a free one.
    """
    if not 0 <= number <= MAX_PORT:
        raise ValueError(f"{number} is not a port (0 to {MAX_PORT})")
    return number


def interface(address: str) -> str:
    """
    The literal address of an interface, or nothing for all of them.
    """
    if address:
        try:
            ip_address(address)
        except ValueError:
            raise ValueError(f"{address!r} is not an IP address") from None
    return address


def host(name: str) -> str:
    """
    An IP address or a host name, or nothing.
    """
    if name and literal_ip(name) is None and (":" in name or host_of(name) is None):
        raise ValueError(f"{name!r} is neither an IP address nor a host name")
    return name


def registry(description: str) -> str:
    """
    What `registry_from_description` takes.
    """
    registry_from_description(description, lambda: 0.0, secret=str)
    return description


def turn_servers(text: str) -> str:
    """
    What `relay_servers` takes.
    """
    relay_servers(text)
    return text


def secret_file(path: str) -> str:
    """
    What `read_secret` reads, or nothing.
    """
    if path:
        read_secret(path)
    return path


def read_secret(path: str) -> str:
    """
    The one line of a file; not on the command line, where anybody on the machine sees it (TRAPS
    T29).

    :raise ValueError: the file cannot be read, or holds something else.
    """
    try:
        # A pipe could be read only once, and may never end.
        if not os.path.isfile(path):
            raise ValueError(f"{path!r} is not a file")
        with open(path, "rb") as file:
            text = file.read(MAX_SECRET + 1).decode().strip()
    except OSError as error:
        raise ValueError(f"{path!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path!r} is not text in UTF-8") from None
    if not text or len(text) > MAX_SECRET or not text.isprintable():
        raise ValueError(f"{path!r} does not hold one line of text")
    return text


def url(text: str) -> str:
    """
    Where a REST API is: ``http`` or ``https``, a host and nothing secret.
    """
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        valid = valid and parts.port != 0 and not (parts.username or parts.password)
        valid = valid and not (parts.query or parts.fragment) and text.isprintable()
    except ValueError:  # a port out of range, a bracket left open
        valid = False
    if not valid:
        raise ValueError(f"{text!r} is not a URL such as http://rendezvous.example:8000")
    if ":" in (parts.hostname or ""):
        # hyperlink, under treq, takes the address for a name and fails on its colons.
        raise ValueError(f"{text!r}: an IPv6 address cannot stand here; give a host name")
    return text


def username(name: str) -> str:
    """
    What others call us, or nothing.
    """
    fault = username_fault(name) if name else None
    if fault is not None:
        raise ValueError(f"{name!r} is not a username: it {fault}")
    return name


def name_or_id(who: str) -> str:
    """
    A username, a peer id, or nothing.
    """
    try:
        return valid_peer_id(who)
    except ValueError:
        return username(who)


def seconds(amount: float) -> float:
    """
    A length of time.
    """
    if not (amount > 0 and math.isfinite(amount)):
        raise ValueError(f"{amount} is not a positive number of seconds")
    return amount


def relay_policy(word: str) -> str:
    """
    A `RelayPolicy`.

    :raise ValueError: it is none.
    """
    return _one_of([policy.value for policy in RelayPolicy], word)


def on_or_off(word: str) -> str:
    """
    Whether something is wanted.

    :raise ValueError: another word.
    """
    return _one_of([ON, "off"], word)


def _one_of(words: Sequence[str], word: str) -> str:
    if word not in words:
        raise ValueError(f"{word!r} is none of {', '.join(words)}")
    return word


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _parse(reactor: Any, description: str) -> IStreamServerEndpoint:
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:
        # Parsers are plugins, and Twisted's own raise whatever int(), open() or a wrong keyword do.
        raise ValueError(f"{description!r} is not a server endpoint ({error})") from None
    return endpoint
