"""The client's side of HTTP/1.1 over TLS, where one side may have to wait to be heard and to hear."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.raw_betcore import Peer, Request, in_turn, reply, serving, silence
from worker.domain.deadline import Deadline
from worker.http.transport import DeadlineTransport
from worker.time_limit import ends_by

LONG = bytes(range(256)) * 1_200
PLENTY_SECONDS = 120
# For what is to end by it; long enough to get so far on a slow machine.
SHORT_SECONDS = 1.5


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a certificate for 127.0.0.1, signed by itself, and its key."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server(certificate: Path) -> ssl.SSLContext:
    """Give a server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def transport(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadlineTransport]:
    """Give a transport that trusts the certificate, as one does that the machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with DeadlineTransport(max_connections=1) as built:
        yield built


def post(transport: DeadlineTransport, url: str, content: bytes) -> bytes:
    response = transport.handle_request(httpx.Request("POST", url, content=content))
    try:
        return b"".join(response.iter_raw())
    finally:
        response.close()


def test_long_messages_go_both_ways_over_one_connection(
    transport: DeadlineTransport, server: ssl.SSLContext
) -> None:
    with (
        serving(reply(200, LONG), tls=server) as peer,
        ends_by(Deadline(time.monotonic() + PLENTY_SECONDS)),
    ):
        assert [post(transport, peer.url, LONG) for _ in range(3)] == [LONG] * 3

    assert [request.body for request in peer.requests] == [LONG] * 3
    assert {request.connection for request in peer.requests} == {0}


def test_an_answer_that_does_not_come_ends_in_time(
    transport: DeadlineTransport, server: ssl.SSLContext
) -> None:
    # A handshake of its own comes first: it may take what time it likes.
    with serving(in_turn(reply(200, b"ok"), silence), tls=server) as peer:
        assert post(transport, peer.url, b"x") == b"ok"
        with ends_by(Deadline(time.monotonic() + SHORT_SECONDS)), pytest.raises(httpx.ReadTimeout):
            post(transport, peer.url, b"x")


def test_a_request_that_nobody_reads_ends_in_time(
    transport: DeadlineTransport, server: ssl.SSLContext
) -> None:
    def answer_once(peer: Peer, connection: socket.socket, request: Request) -> None:
        reply(200, b"ok")(peer, connection, request)
        silence(peer, connection, request)

    with serving(answer_once, tls=server) as peer:
        assert post(transport, peer.url, b"x") == b"ok"
        with ends_by(Deadline(time.monotonic() + SHORT_SECONDS)), pytest.raises(httpx.WriteTimeout):
            post(transport, peer.url, bytes(50_000_000))


def test_a_certificate_that_nobody_vouches_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, server: ssl.SSLContext
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with (
        DeadlineTransport(max_connections=1) as wary,
        serving(reply(200), tls=server) as peer,
        pytest.raises(httpx.ConnectError, match="certificate"),
    ):
        post(wary, peer.url, b"x")


def test_a_handshake_that_is_not_answered_ends_in_time(transport: DeadlineTransport) -> None:
    with (
        serving(reply(200)) as peer,
        ends_by(Deadline(time.monotonic() + SHORT_SECONDS)),
        pytest.raises(httpx.ConnectTimeout),
    ):
        post(transport, peer.url.replace("http:", "https:"), b"x")
