"""
What the server says of itself: its state, its description, and pages for people.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any, Final

from p2pnet.signaling.health import Health
from p2pnet.signaling.rest.desk import Desk
from p2pnet.signaling.rest.news import History, Service, Well
from p2pnet.signaling.rest.operations import Page, operation
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.reading import Call, not_found
from p2pnet.signaling.rest.reference import problem_page, reference
from p2pnet.signaling.rest.sampling import Sampler
from p2pnet.signaling.rest.shapes import Root
from p2pnet.signaling.web import Refused

_HTML: Final = "text/html; charset=utf-8"
_ASSETS: Final = {
    "icon.svg": "image/svg+xml",
    "style.css": "text/css; charset=utf-8",
    "status.js": "text/javascript; charset=utf-8",
}
"""What pages need besides themselves, and what it is."""


class ServerEndpoints:
    """
    :param describe: the description of the whole API.
    """

    def __init__(
        self, desk: Desk, health: Health, sampler: Sampler, describe: Callable[[], dict[str, Any]]
    ) -> None:
        self._desk = desk
        self._health = health
        self._sampler = sampler
        self._describe = describe
        self._made: dict[str, Page] = {}

    @operation("GET", "/", old=True)
    async def root(self, call: Call) -> Root:
        """
        That it runs; a page that shows how it fares for a browser.

        What comes depends on the Accept header: ``text/html`` brings the page.
        """
        if "text/html" in call.header(b"Accept"):
            return self._page("status.html", _HTML)  # type: ignore[return-value]  # said above
        call.request.setHeader(b"Vary", b"Accept")
        census = await self._desk.registry.census()
        return Root("p2pnet signaling", "running", census.online)

    @operation("GET", "/v1")
    async def service(self, call: Call) -> Service:
        """
        What this server is, and what it lets one do.
        """
        desk = self._desk
        return Service(
            "p2pnet rendezvous",
            desk.registry.lease,
            desk.policy.listing.value,
            call.header(b"Host"),
        )

    @operation("GET", "/v1/figures")
    async def figures(self, call: Call) -> History:
        """
        How the server fared in the last ten minutes, in numbers.
        """
        return self._sampler.history()

    @operation("GET", "/healthz")
    async def alive(self, call: Call) -> Well:
        """
        That the process answers.
        """
        return Well("ok")

    @operation("GET", "/readyz")
    async def ready(self, call: Call) -> Well:
        """
        Whether the server is of use: 503, with the reasons, if it is not.
        """
        faults = await self._health.faults()
        if faults:
            raise Refused(503, "; ".join(faults), Retry_After=str(self._health.retry_after))
        return Well("ready")

    @operation("GET", "/openapi.json", tagged=True)
    async def openapi(self, call: Call) -> dict[str, Any]:
        """
        This description, for programs.
        """
        return self._describe()

    @operation("GET", "/docs", media_type=_HTML)
    async def docs(self, call: Call) -> Page:
        """
        This description, for people.
        """
        if "docs" not in self._made:
            self._made["docs"] = Page(_HTML, reference(self._describe()))
        return self._made["docs"]

    @operation("GET", "/problems/{name}", media_type=_HTML, problems=(Kind.NOT_FOUND,))
    async def problem(self, call: Call, name: str) -> Page:
        """
        What a type of problem means.
        """
        for kind in Kind:
            if kind.slug == name:
                return Page(_HTML, problem_page(kind))
        raise not_found("there is no such type of problem")

    @operation("GET", "/assets/{name}", media_type="*/*", problems=(Kind.NOT_FOUND,))
    async def asset(self, call: Call, name: str) -> Page:
        """
        What the pages are made of.
        """
        if name not in _ASSETS:
            raise not_found("there is no such asset")
        return self._page(name, _ASSETS[name])

    def _page(self, name: str, media_type: str) -> Page:
        if name not in self._made:
            place = resources.files(__package__) / "static" / name
            self._made[name] = Page(media_type, place.read_bytes(), (("Vary", "Accept"),))
        return self._made[name]
