"""
A Redis of our own, on a socket in a directory of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from tempfile import TemporaryDirectory

import pytest

from p2pnet.signaling.registry import RedisPlace

PROGRAM = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="there is no redis-server here")

_PASS_BY = """
local passed = tonumber(ARGV[1])
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then redis.call('PEXPIRE', key, left - passed) end
  if string.match(key, ':running$') or string.match(key, ':ending$')
    or string.match(key, ':rooms$') then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, -passed, member)
    end
  end
end
"""


class RedisServer:
    """
    :param persistent: it writes each change down, and a restart forgets nothing.
    :ivar place: where it listens.
    """

    def __init__(self, *, password: str = "", persistent: bool = False) -> None:
        self._home = TemporaryDirectory()
        self._password = password
        self._persistent = persistent
        self.path = os.path.join(self._home.name, "redis.sock")
        self.place = RedisPlace(unix=self.path)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """
        Run, and wait until it answers.
        """
        assert PROGRAM is not None
        command = [PROGRAM, "--port", "0", "--unixsocket", self.path, "--dir", self._home.name]
        command += ["--save", "", "--loglevel", "warning", "--daemonize", "no"]
        if self._persistent:
            command += ["--appendonly", "yes", "--appendfsync", "always"]
        if self._password:
            command += ["--requirepass", self._password]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                answer = self.ask("PING")
            except (OSError, ConnectionError):
                answer = b""
            if answer.startswith((b"+PONG", b"-NOAUTH")):
                return
            assert self.process.poll() is None, "redis-server has ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """
        End at once, as if the machine had lost power.
        """
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """
        Answer nothing any more, and break no connection.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """
        Go on.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """
        End for good.
        """
        self.stop()
        self._home.cleanup()

    def pass_by(self, seconds: float) -> None:
        """
        Let time pass: all lives are shorter by that.
        """
        self.ask("EVAL", _PASS_BY, "0", str(int(seconds * 1000)))

    def ask(self, *words: str) -> bytes:
        """
        The bare answer to one command.
        """
        request = b"*%d\r\n" % len(words)
        for word in words:
            request += b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode())
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(self.path)
            if self._password and words[0] != "PING":
                connection.sendall(
                    b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%b\r\n"
                    % (len(self._password), self._password.encode())
                )
                assert connection.recv(100).startswith(b"+OK")
            connection.sendall(request)
            answer = connection.recv(65536)
        if not answer:
            raise ConnectionError("no answer")
        return answer
