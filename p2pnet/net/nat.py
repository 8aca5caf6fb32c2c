"""
NAT introduction on a NetManager's port.
"""

from __future__ import annotations

from zope.interface import implementer

from p2pnet.interfaces import Address, INatPunchListener, INatPunchModule
from p2pnet.net.addresses import normalised
from p2pnet.net.driver import Pump
from p2pnet.rudp.punch import Introductions


@implementer(INatPunchModule)
class NatPunchModule:
    """
    All three roles of NAT introduction; see `INatPunchModule`.

    :ivar listener: who hears about introductions; None before `init`.
    """

    def __init__(self, driver: Pump) -> None:
        self.listener: INatPunchListener | None = None
        self._driver = driver

    @property
    def _introductions(self) -> Introductions:
        return self._driver.endpoint.introductions

    def init(self, listener: INatPunchListener) -> None:
        self.listener = listener

    def trust(self, facilitator: Address) -> None:
        self._introductions.trust(normalised(facilitator))

    def distrust(self, facilitator: Address) -> None:
        self._introductions.distrust(normalised(facilitator))

    def expect(self, token: str) -> None:
        self._introductions.expect(token, self._driver.clock())
        self._driver.pump_soon()

    def forget(self, token: str) -> None:
        self._introductions.forget(token)

    def send_introduce_request(self, facilitator: Address, token: str, internal: Address) -> None:
        now = self._driver.clock()
        self._driver.endpoint.request_introduction(normalised(facilitator), token, internal, now)
        self._driver.pump_soon()

    def introduce(
        self,
        host_internal: Address,
        host_external: Address,
        client_internal: Address,
        client_external: Address,
        token: str,
    ) -> None:
        self._introductions.introduce(
            host_internal,
            host_external,
            client_internal,
            client_external,
            token,
            self._driver.clock(),
        )
        self._driver.pump_soon()
