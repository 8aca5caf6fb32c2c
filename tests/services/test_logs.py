"""
What stands in the log.
"""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogPublisher
from twisted.python.syslog import SyslogObserver

from p2pnet.services.logs import Logs
from p2pnet.services.settings import LogSettings


class Diary:
    """
    A log to look into.
    """

    def __init__(self, **settings: str) -> None:
        self.logs = Logs(LogSettings(**settings), {})
        self._file = StringIO()
        publisher = LogPublisher(self.logs.writing(self._file))
        self.log = Logger("p2pnet.somewhere", observer=publisher)

    @property
    def text(self) -> str:
        return self._file.getvalue()

    def lines(self) -> list[str]:
        return self.text.splitlines()


def fail(log: Logger) -> None:
    try:
        raise ValueError("192.0.2.77 is to blame")
    except ValueError:
        log.failure("it broke")


def test_a_line_of_text_has_time_source_level_and_text() -> None:
    book = Diary()
    book.log.info("{name} has come", name="alice")
    (line,) = book.lines()
    assert re.fullmatch(r"20\d\d-.*\+0000 \[p2pnet\.somewhere#info\] alice has come", line)


def test_a_line_of_json_says_the_same() -> None:
    book = Diary(format="json")
    book.log.warn("{name!r} has come", name="\x1b[2J\nalice")
    (line,) = book.lines()
    said = json.loads(line)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("time"))
    assert said == {
        "level": "warn",
        "source": "p2pnet.somewhere",
        "text": "'\\x1b[2J\\nalice' has come",
    }
    assert line.isprintable()


def test_a_failure_in_json_is_one_line_with_its_traceback() -> None:
    book = Diary(format="json")
    fail(book.log)
    (line,) = book.lines()
    said = json.loads(line)
    assert (said["level"], said["text"]) == ("critical", "it broke")
    assert "ValueError: 192.0.2.0/24 is to blame" in said["traceback"]


def test_addresses_are_blurred_everywhere_even_in_tracebacks() -> None:
    book = Diary()
    book.log.info("{address} came", address=("2001:db8:1:2::3", 9050))
    fail(book.log)
    text = book.text
    assert "('2001:db8:1::/48', 9050) came" in text
    assert "ValueError: 192.0.2.0/24 is to blame" in text
    assert "192.0.2.77" not in text


def test_who_wants_them_in_full_gets_them() -> None:
    book = Diary(addresses="full")
    book.log.info("{address} came", address="192.0.2.77")
    assert "192.0.2.77 came" in book.text


def test_what_is_below_the_level_is_left_out_and_the_level_can_be_changed() -> None:
    book = Diary(level="warn")

    def speak() -> list[str]:
        said = len(book.lines())
        book.log.debug("debug")
        book.log.info("info")
        book.log.warn("warn")
        book.log.error("error")
        return [line.rpartition(" ")[2] for line in book.lines()[said:]]

    assert speak() == ["warn", "error"]
    book.logs.change(LogSettings(level="debug"))
    assert speak() == ["debug", "info", "warn", "error"]
    book.logs.change(LogSettings(level="error"))
    assert speak() == ["error"]


@given(st.text(), st.binary())
def test_whatever_is_logged_is_one_line_of_json(text: str, data: bytes) -> None:
    book = Diary(format="json")
    book.log.info("{text} {data!r} {missing}", text=text, data=data)
    (line,) = book.lines()
    said: Any = json.loads(line)
    assert said["source"] == "p2pnet.somewhere"


def test_in_the_foreground_it_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    logs = Logs(LogSettings(), {"nodaemon": True})
    Logger("p2pnet", observer=LogPublisher(logs.observer())).info("hello")
    assert capsys.readouterr().out.endswith("[p2pnet#info] hello\n")


def test_a_daemon_has_no_standard_output_to_log_to() -> None:
    logs = Logs(LogSettings(), {"logfile": "-", "nodaemon": False})
    with pytest.raises(SystemExit, match="Daemons cannot log to stdout"):
        logs.observer()


def test_syslog_gets_one_text_with_addresses_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(SyslogObserver, "openlog", lambda *_: None)
    monkeypatch.setattr(SyslogObserver, "syslog", lambda _, priority, text: told.append(text))
    logs = Logs(LogSettings(), {"syslog": True, "prefix": "p2pnet"})
    log = Logger("p2pnet", observer=LogPublisher(logs.observer()))
    log.info("{address} came", address="192.0.2.77")
    log.debug("not that")
    fail(log)
    assert told[0].endswith("192.0.2.0/24 came")
    assert "192.0.2.77" not in "".join(told)
    assert "ValueError" in "".join(told)
    assert "not that" not in "".join(told)
