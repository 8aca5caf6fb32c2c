"""
What the operator of a real server sees of it, and can have it do.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.processes import ROOT, TWISTD, free_port, until
from tests.end_to_end.servers import LOCAL, ask, registration, rendezvous, started
from tests.end_to_end.stubborn import StubbornPeer

END = 5.0
"""Seconds in which a server has ended that is told to."""


class Systemd:
    """
    Hears what a service says.
    """

    def __init__(self, path: Path) -> None:
        self.environment = {"NOTIFY_SOCKET": str(path)}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def hear_all_until(self, last: str) -> list[str]:
        heard = [self.hear()]
        while heard[-1] != last:
            heard.append(self.hear())
        return heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    yield systemd
    systemd.close()


def test_systemd_hears_of_start_life_reload_and_end(tmp_path: Path, systemd: Systemd) -> None:
    environment = {**systemd.environment, "WATCHDOG_USEC": "400000"}
    with rendezvous(tmp_path / "server", environment=environment) as (server, port):
        assert systemd.hear() == "READY=1"
        answer = ask(port, "/")
        assert answer is not None, "it was not ready"
        assert [systemd.hear(), systemd.hear()] == ["WATCHDOG=1"] * 2
        server.process.send_signal(signal.SIGHUP)
        heard = [each.partition("\n")[0] for each in systemd.hear_all_until("READY=1")]
        assert [each for each in heard if each != "WATCHDOG=1"] == ["RELOADING=1", "READY=1"]
        assert server.terminate(timeout=END) < END
        assert systemd.hear_all_until("STOPPING=1")[-1] == "STOPPING=1"


def test_settings_are_checked_without_a_start(tmp_path: Path) -> None:
    settings = tmp_path / "node.toml"

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TWISTD, "p2pnet-signaling", "--config", settings, "--check-config"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    settings.write_text('[rendezvous]\nhttp = "tcp:8000"\n')
    good = check()
    assert (good.returncode, good.stdout, good.stderr) == (0, "ok\n", "")
    settings.write_text('[rendezvous]\nhttp = "tcp:8000"\nudp-prot = 1\n')
    bad = check()
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == (
        f"{settings}:3: [rendezvous] has no key udp-prot; the nearest is udp-port\n"
    )


def test_settings_are_read_again_on_sighup(tmp_path: Path) -> None:
    settings = tmp_path / "node.toml"
    settings.write_text("[rendezvous]\nlease = 30\n")
    with rendezvous(tmp_path / "server", f"--config={settings}") as (server, port):
        started(server)

        def told(text: str) -> None:
            server.process.send_signal(signal.SIGHUP)
            until(lambda: text in server.output(), text)

        settings.write_text('[limits]\nrequests = "1/1"\n[log]\nlevel = "warn"\n')
        told("[rendezvous] lease has changed, which takes a restart")
        statuses = [answer.status for _ in range(4) if (answer := ask(port, "/")) is not None]
        assert statuses[-1] == 429, statuses
        settings.write_text("[limits]\nrequests = 1\n")
        told(f"settings not read again: {settings}:2: [limits] requests: 1 is not a string")
        assert "settings read again" not in server.output(), "that is below the level of warnings"


def test_metrics_and_health_are_on_an_endpoint_of_their_own(tmp_path: Path) -> None:
    metrics = free_port()
    with rendezvous(
        tmp_path / "server", f"--metrics=tcp:{metrics}:interface={LOCAL}"
    ) as (server, port):
        started(server)
        answer = ask(port, "/register", method="POST", body=registration("alice"))
        assert answer is not None
        assert answer.status == 200
        for path in ("/healthz", "/readyz"):
            for where in (port, metrics):
                well = ask(where, path)
                assert well is not None
                assert well.status == 200
        scraped = ask(metrics, "/metrics")
        assert scraped is not None
        text = scraped.body.decode()
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert samples["p2pnet_peers", "away"] == 1
        assert samples["p2pnet_registrations_total", "new"] == 1
        assert samples["p2pnet_engine_datagrams_total", "received"] == 0
        assert samples["p2pnet_draining",] == 0
        assert samples["p2pnet_reactor_lag_seconds_count",] >= 0
        assert "alice" not in text
        assert LOCAL not in text
        other = ask(port, "/metrics")
        assert other is not None
        assert other.status == 404, "what is measured is not for everybody"


def test_logs_are_lines_of_json_without_secrets_or_names(tmp_path: Path) -> None:
    shared = tmp_path / "turn-secret"
    shared.write_text("shared-with-turn\n")
    with rendezvous(
        tmp_path / "server",
        "--log-format=json",
        "--log-level=debug",
        "--turn=turn.example:3478",
        f"--turn-secret-file={shared}",
    ) as (server, port):
        started(server)
        with StubbornPeer(port, "alice") as alice:
            alice.associate()
            alice.until(lambda: "welcome" in alice.words(), "alice is associated")
            peer_id, secret = alice.answer["peer_id"], alice.answer["secret"]
            basic = b64encode(f"{peer_id}:{secret}".encode()).decode()
            for authorization in (f"Bearer {secret}", f"Basic {basic}", f"Nonsense {secret}"):
                for path in (f"/v1/peers/{peer_id}", f"/peer/{peer_id}?secret={secret}", "/%ff"):
                    ask(port, path, headers={"Authorization": authorization})
                    ask(port, path, method="POST", body=secret)
            server.terminate(timeout=END)
    said = server.output()
    lines = [json.loads(line) for line in said.splitlines()]
    assert all({"time", "level", "source", "text"} <= set(line) for line in lines)
    assert any(line["text"].startswith("started: REST API") for line in lines)
    credentials = [relay["password"] for relay in alice.answer["relays"]]
    for word in (secret, basic, alice.answer["ticket"], "shared-with-turn", "alice", *credentials):
        assert word not in said


def test_a_server_that_is_told_to_go_tells_its_peers_and_takes_nobody_new(
    tmp_path: Path,
) -> None:
    with rendezvous(tmp_path / "server") as (server, port):
        started(server)
        with StubbornPeer(port, "alice") as alice, StubbornPeer(port, "bob") as bob:
            alice.associate()
            alice.until(lambda: "welcome" in alice.words(), "alice is associated")

            asked = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            alice.until(lambda: "leaving" in alice.words(), "alice is told")
            assert alice.told[-1]["retry_after"] > 0

            ready = ask(port, "/readyz")
            assert ready is not None
            assert (ready.status, ready.json["detail"]) == (503, "shutting down")
            refused = ask(port, "/register", method="POST", body=registration("dave"))
            assert refused is not None
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
            found = ask(port, f"/peer/{alice.answer['peer_id']}")
            assert found is not None
            assert found.status == 200, "what there is goes on"
            bob.associate()
            bob.until(lambda: bob.ended, "bob, who has a good ticket, is not let in")
            assert b"about to end" in bob.ended[0].data

            alice.until(lambda: alice.ended, "alice is let go")
            assert server.process.wait(END) == -signal.SIGTERM
            assert time.monotonic() - asked < END
    assert "Traceback" not in server.output()


def test_a_server_that_is_told_to_go_and_is_alone_goes_at_once(tmp_path: Path) -> None:
    with rendezvous(tmp_path / "server") as (server, _):
        started(server)
        assert server.terminate(timeout=END) < 1.5
    assert "Traceback" not in server.output()
