"""
A NetManager as the options say.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from p2pnet.interfaces import INetEventListener
from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.base import Options as ManagerOptions
from p2pnet.net.conditions import Conditions
from p2pnet.net.manager import NetManager
from p2pnet.net.manual import ManualNetManager
from p2pnet.peer.options import Options
from p2pnet.rudp.config import EndpointConfig

_IPV6: Final = {
    "separate": Ipv6Mode.SEPARATE,
    "disabled": Ipv6Mode.DISABLED,
    "dual": Ipv6Mode.DUAL,
}
_LOOPBACK_V6: Final = "::1"


def engine_config(options: Options) -> EndpointConfig:
    """
    What the options say about connections.

    :raise ValueError: a value that cannot work; the text names it.
    """
    return EndpointConfig(
        channels=options.channels,
        ping_interval=options.ping / 1000,
        disconnect_timeout=options.timeout / 1000,
        reconnect_delay=options.reconnectdelay / 1000,
        max_connect_attempts=options.maxattempts,
        mtu_override=options.mtu,
        use_safe_mtu=options.safemtu,
        unconnected_messages_enabled=options.unconnected,
        broadcast_receive_enabled=options.broadcast,
        nat_punch_enabled=options.nat,
        disconnect_on_unreachable=options.unreachable,
    )


def conditions(options: Options) -> Conditions:
    """
    What happens to datagrams on the way in.

    :raise ValueError: a value that cannot work; the text names it.
    """
    low, high = options.latency
    return Conditions(
        packet_loss=options.loss > 0,
        packet_loss_chance=options.loss,
        latency=high > 0,
        min_latency=low / 1000,
        max_latency=high / 1000,
    )


def net_manager(options: Options, listener: INetEventListener, reactor: Any) -> NetManager:
    """
    A manager that is not started yet.
    """
    return NetManager(
        listener, reactor=reactor, update_time=options.update / 1000, **_common(options)
    )


def manual_manager(
    options: Options, listener: INetEventListener, clock: Callable[[], float]
) -> ManualNetManager:
    """
    A manager for the manual mode that is not started yet.
    """
    common = _common(options)
    common["clock"] = clock
    return ManualNetManager(listener, **common)


def _common(options: Options) -> ManagerOptions:
    interface, interface_v6 = options.interfaces()
    if interface_v6 == _LOOPBACK_V6 and not options.bind6 and not _has_loopback_v6():
        interface_v6 = None
    return {
        "port": options.port,
        "interface": interface,
        "interface_v6": interface_v6,
        "ipv6": _IPV6[options.ipv6],
        "config": engine_config(options),
        "layer": options.packet_layer(),
        "conditions": conditions(options),
        "reuse_address": options.reuse,
    }


def _has_loopback_v6() -> bool:
    """
    Many a container has not.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((_LOOPBACK_V6, 0))
    except OSError:
        return False
    return True
