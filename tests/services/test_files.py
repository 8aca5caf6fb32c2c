"""
As many open files as connections take.
"""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from twisted.logger import globalLogBeginner, textFileLogObserver
globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
from p2pnet.services.files import allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
allow_connections({wanted})
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed", "told"),
    [
        (100, 1000, 500, 756, False),
        (800, 1000, 500, 800, False),
        (100, 400, 500, 400, True),
    ],
)
def test_the_process_takes_what_it_needs_and_says_what_it_lacks(
    soft: int, hard: int, wanted: int, allowed: int, told: bool
) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= hard
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(soft=soft, hard=hard, wanted=wanted)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.endswith(f"({allowed}, {hard})\n")
    assert ("the system allows 400 open files" in ended.stdout) is told
