"""
TLS, the PROXY protocol and sockets of systemd, by nothing but an endpoint string.
"""

from __future__ import annotations

import shutil
import signal
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.end_to_end.processes import Daemon, free_port, until
from tests.end_to_end.servers import LOCAL, ask, registration, rendezvous, started

ACTIVATE = shutil.which("systemd-socket-activate")
V2 = b"\r\n\r\n\x00\r\nQUIT\n"
"""How a header of version 2 of the PROXY protocol begins."""


def certify(key_file: Path, certificate_file: Path) -> str:
    """
    A new key, and a certificate for localhost that it has signed itself, in PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    certificate_file.write_bytes(pem)
    return pem.decode()


def trusting(pem: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pem)


def test_tls_is_an_endpoint_and_a_renewed_certificate_is_taken_over(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    old = certify(key, certificate)
    endpoint = f"ssl:{{port}}:interface={LOCAL}:privateKey={key}:certKey={certificate}"
    with rendezvous(tmp_path / "server", http=endpoint) as (server, port):
        started(server)
        answer = ask(port, "/register", method="POST", body=registration("a"), tls=trusting(old))
        assert answer is not None
        assert answer.json["public_ip"] == LOCAL

        new = certify(key, certificate)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "settings read again" in server.output(), "the new certificate is read")
        answer = ask(port, "/", tls=trusting(new))
        assert answer is not None
        assert answer.status == 200

        key.write_text("no key")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "settings not read again" in server.output(), "a bad key is told")
        answer = ask(port, "/", tls=trusting(new))
        assert answer is not None
        assert answer.status == 200, "the old certificate stays"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 203.0.113.7 192.0.2.1 50000 443\r\n", "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n", "2001:db8::7"),
        (
            V2 + b"\x21\x11\x00\x0c" + bytes([203, 0, 113, 8, 192, 0, 2, 1]) + b"\xc3\x50\x01\xbb",
            "203.0.113.8",
        ),
    ],
)
def test_behind_a_proxy_the_client_is_who_the_proxy_says(
    tmp_path: Path, header: bytes, client: str
) -> None:
    endpoint = "haproxy:tcp:{port}:interface=127.0.0.1"
    with rendezvous(tmp_path / "server", http=endpoint) as (server, port):
        started(server)
        body = registration("alice")
        answer = ask(port, "/register", method="POST", body=body, before=header)
        assert answer is not None
        assert answer.json["public_ip"] == client
        found = ask(port, f"/peer/{body['peer_id']}", before=header)
        assert found is not None
        assert found.json["ip"] == client
        with pytest.raises((ConnectionError, OSError)):
            ask(port, "/")


def test_behind_a_proxy_limits_count_the_clients_and_not_the_proxy(tmp_path: Path) -> None:
    endpoint = "haproxy:tcp:{port}:interface=127.0.0.1"
    with rendezvous(
        tmp_path / "server", "--limit-requests=0.001/2", http=endpoint
    ) as (server, port):
        started(server)

        def statuses(client: str) -> list[int]:
            header = f"PROXY TCP4 {client} 192.0.2.1 50000 443\r\n".encode()
            answers = [ask(port, "/", before=header) for _ in range(3)]
            return [answer.status for answer in answers if answer is not None]

        assert statuses("203.0.113.7") == [200, 200, 429]
        assert statuses("198.51.100.7") == [200, 200, 429]


@pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not installed")
@pytest.mark.parametrize(
    ("address", "endpoint"),
    [(LOCAL, "systemd:domain=INET:name=http"), ("[::]", "systemd:domain=INET6:index=0")],
)
def test_a_socket_of_systemd_is_taken_over(tmp_path: Path, address: str, endpoint: str) -> None:
    assert ACTIVATE is not None
    port = free_port()
    # Of the environment it passes on what it is told to.
    kept = [f"--setenv={name}" for name in ("PYTHONPATH", "PYTHONUNBUFFERED")]
    with rendezvous(
        tmp_path / "server",
        http=endpoint,
        starter=[ACTIVATE, f"--listen={address}:{port}", "--fdname=http", *kept],
    ) as (server, _):
        until(lambda: "Listening on" in server.output(), "systemd listens")
        # Who comes starts it, and waits for it.
        answer = ask(port, "/register", method="POST", body=registration("alice"))
        assert answer is not None
        assert answer.json["public_ip"] == LOCAL
        server.terminate(timeout=5)


def test_a_socket_that_systemd_has_not_passed_is_told_in_one_line(tmp_path: Path) -> None:
    server = Daemon(
        tmp_path / "server", "p2pnet-signaling", "--http=systemd:domain=INET:name=http"
    )
    assert server.process.wait(20) == 1
    assert "systemd:domain=INET:name=http: systemd has passed no such socket" in server.output()
    assert "Traceback" not in server.output()
