"""
A headless Chromium in a process of its own, spoken to over two pipes (Chrome DevTools Protocol).
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.end_to_end.processes import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class Browser:
    """
    One page.

    :param profile: an empty directory.
    :ivar requests: the URLs it has asked for.
    :ivar complaints: what it has logged: errors, exceptions, what its policy forbade.
    """

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        # It reads commands from its descriptor 3 and writes answers to 4.  Ours are moved out of
        # the way first.
        their_in, self._out = (_high(end) for end in os.pipe())
        self._in, their_out = (_high(end) for end in os.pipe())

        def arrange() -> None:
            os.dup2(their_in, 3)
            os.dup2(their_out, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=arrange,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._buffer = b""
        self._last = 0
        self._answers: dict[int, Any] = {}
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, url: str) -> None:
        """
        Go there.
        """
        self._ask("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """
        What a JavaScript expression is worth, as the page's own developer tools would find.
        """
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """
        What stands in an element; empty without one.
        """
        text: str = self.evaluate(f"document.querySelector({selector!r})?.textContent ?? ''")
        return text

    def until(self, expression: str, timeout: float = 20.0) -> None:
        """
        Wait until an expression is true.
        """
        until(lambda: self.evaluate(expression), expression, timeout)

    def close(self) -> None:
        """
        End it.
        """
        self._process.kill()
        self._process.wait(10)
        os.close(self._in)
        os.close(self._out)

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._last += 1
        question = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            question["sessionId"] = self._session
        os.write(self._out, json.dumps(question).encode() + b"\0")
        deadline = time.monotonic() + 30
        while self._last not in self._answers:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no answer to {method}"
            self._read()
        answer = self._answers.pop(self._last)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _read(self) -> None:
        data = os.read(self._in, 65536)
        assert data, "the browser is gone"
        *whole, self._buffer = (self._buffer + data).split(b"\0")
        for each in whole:
            message = json.loads(each)
            if "id" in message:
                self._answers[message["id"]] = message
            elif message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))


def _high(end: int) -> int:
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return moved
