"""
The page at "/" in a real browser: it shows what happens as it happens, and loads nothing else.
"""

from __future__ import annotations

import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.end_to_end.browser import CHROMIUM, Browser
from tests.end_to_end.processes import Daemon, free_port, until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

ALICE = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
NAME = "<img src=x id=injected>"
"""Whoever shows it as HTML shows a picture."""


class Rendezvous:
    """
    A server, and its clients.
    """

    def __init__(self, directory: Path, *arguments: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.daemon = Daemon(
            directory,
            "p2pnet-signaling",
            "--http",
            f"tcp:{self.port}:interface=127.0.0.1",
            "--udp-port=0",
            "--observer-port=0",
            *arguments,
        )
        until(self._answers, "an answer of the server")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "healthz", timeout=1):
                return True
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None) -> None:
        """
        In Alice's name.
        """
        credentials = b64encode(f"{ALICE}:{'a' * 40}".encode()).decode()
        request = urllib.request.Request(
            self.url + path,
            None if body is None else msgspec.json.encode(body),
            {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status < 300

    def register(self) -> None:
        self.ask("PUT", f"v1/peers/{ALICE}", {"username": NAME, "port": 4000})


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    profile = tmp_path / "profile"
    profile.mkdir()
    page = Browser(profile)
    try:
        yield page
    finally:
        page.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "server"


def test_it_shows_what_happens_as_it_happens(directory: Path, browser: Browser) -> None:
    server = Rendezvous(directory)
    try:
        browser.open(server.url)
        browser.until("document.querySelector('#state')?.textContent === 'running'")
        browser.until("document.querySelector('#online').textContent === '0'")
        server.register()
        browser.until("document.querySelectorAll('#peers tr').length === 1")
        cells = browser.evaluate(
            "[...document.querySelectorAll('#peers td')].map(cell => cell.textContent)"
        )
        assert cells == [NAME, "away", ALICE]
        assert browser.evaluate("document.querySelector('#injected')") is None
        browser.until("document.querySelector('#online').textContent === '1'")
        for name in ("online", "introductions", "success", "traffic"):
            points = f"document.querySelector('#chart-{name} polyline').getAttribute('points')"
            assert "NaN" not in browser.evaluate(points)
        line = "document.querySelector('#chart-online polyline').getAttribute('points')"
        assert browser.evaluate(line).endswith("119,2")
        server.ask("DELETE", f"v1/peers/{ALICE}")
        browser.until("document.querySelectorAll('#peers tr').length === 0")
        assert all(url.startswith(server.url) for url in browser.requests)
        assert browser.complaints == []
    finally:
        server.daemon.kill()


def test_who_comes_while_the_list_is_on_its_way_is_shown(
    directory: Path, browser: Browser
) -> None:
    server = Rendezvous(directory)
    try:
        browser.open(server.url)
        browser.until("document.querySelector('#state')?.textContent === 'running'")
        browser.until("document.querySelector('#online').textContent === '0'")
        browser.evaluate(
            "(() => { const real = window.fetch; window.held = [];"
            " window.fetch = async (...of) => { const old = await real(...of);"
            " await new Promise((arrive) => window.held.push(arrive)); return old; };"
            " list().then(() => { window.arrived = true; }); })()"
        )
        browser.until("window.held.length > 0")
        server.register()
        browser.until("document.querySelector('#online').textContent === '1'")
        browser.evaluate("window.held.forEach((arrive) => arrive())")
        browser.until("window.arrived === true")
        browser.until("document.querySelectorAll('#peers tr').length === 1")
    finally:
        server.daemon.kill()


def test_no_script_runs_that_is_not_the_servers_own(directory: Path, browser: Browser) -> None:
    server = Rendezvous(directory)
    try:
        browser.open(server.url)
        browser.until("document.querySelector('#state')?.textContent === 'running'")
        assert browser.evaluate(
            "(() => { const script = document.createElement('script');"
            " script.textContent = 'window.injected = 1'; document.body.append(script);"
            " return window.injected ?? 'nothing'; })()"
        ) == "nothing"
        until(lambda: browser.evaluate("1") and browser.complaints, "a word of the policy")
        assert "Content Security Policy" in browser.complaints[0]
    finally:
        server.daemon.kill()


def test_where_nobody_is_listed_it_shows_nobody(directory: Path, browser: Browser) -> None:
    server = Rendezvous(directory, "--listing=off")
    try:
        server.register()
        browser.open(server.url)
        browser.until("document.querySelector('#online')?.textContent === '1'")
        page = browser.evaluate("document.documentElement.outerHTML")
        assert ALICE not in page
        assert "injected" not in page
        assert browser.evaluate("document.querySelector('#listing').hidden")
        assert not any("v1/peers" in url for url in browser.requests)
        assert browser.complaints == []
    finally:
        server.daemon.kill()


def test_it_comes_back_when_the_server_does(
    directory: Path, tmp_path: Path, browser: Browser
) -> None:
    server = Rendezvous(directory)
    try:
        browser.open(server.url)
        browser.until("document.querySelector('#state')?.textContent === 'running'")
    finally:
        server.daemon.kill()
    browser.until("document.querySelector('#state').textContent.startsWith('no connection')")
    again = Rendezvous(tmp_path / "again", port=server.port)
    try:
        browser.until("document.querySelector('#state').textContent === 'running'", 30)
        again.register()
        browser.until("document.querySelectorAll('#peers tr').length === 1")
    finally:
        again.daemon.kill()
