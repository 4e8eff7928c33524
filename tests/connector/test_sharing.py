"""Clients in threads, in forks and in processes; over TLS."""

import datetime
import ipaddress
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ctrader_app.connector import ConnectorConfig, CTraderClient, close_shared_clients, shared_client
from ctrader_app.domain.operations import Kind
from ctrader_app.domain.outcomes import Confirmed, NotSent, Unknown
from tests.connector.conftest import READ_TIMEOUT_S, REF, SECRET, config_of
from tests.connector.scripted import ScriptedServer, close_after_reading, drip, raw_answer, reply, reply_by, silence
from tests.support.processes import REPOSITORY
from tests.wire.samples import ACCOUNT, PRICE

CANCEL = {"order_id": "5"}
CANCELLED = {"order_id": "5", "status": "cancelled"}


def test_threads_share_a_client_and_each_gets_its_own_answer(server: ScriptedServer, client: CTraderClient) -> None:
    server.default = reply_by(lambda request: {**PRICE, "symbol": request.query["symbol"]})

    def read(number: int) -> bool:
        return client.price(REF, f"SYM{number}").symbol == f"SYM{number}"

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(400)))
    assert server.connections <= 8
    assert len({request.headers["x-request-id"] for request in server.requests}) == 400


def test_one_client_for_one_configuration(server: ScriptedServer) -> None:
    server.default = reply(200, ACCOUNT)
    config = config_of(server.url)
    with ThreadPoolExecutor(8) as threads:
        clients = set(threads.map(lambda _: shared_client(config_of(server.url)), range(32)))
    try:
        assert clients == {shared_client(config)}
        assert shared_client(config_of(server.url, "/api/v1")) is not shared_client(config)
        assert shared_client(config).account_info(REF).currency == "USD"
    finally:
        first = shared_client(config)
        close_shared_clients()
    assert shared_client(config) is not first
    close_shared_clients()


FORKING = """
import os, sys
from ctrader_app.connector import AccountRef, ConnectorConfig, shared_client
config = ConnectorConfig(sys.argv[1], "", "secret-of-a-test")
ref = AccountRef("1", "u")
before = shared_client(config)
before.account_info(ref)
child = os.fork()
if child == 0:
    after = shared_client(config)
    after.account_info(ref)
    os._exit(0 if after is not before else 3)
_, status = os.waitpid(child, 0)
before.account_info(ref)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_has_its_own_connections(server: ScriptedServer) -> None:
    server.default = reply(200, ACCOUNT)
    subprocess.run([sys.executable, "-c", textwrap.dedent(FORKING), server.url], cwd=REPOSITORY, check=True, timeout=60)
    assert [request.connection for request in server.requests] == [1, 2, 1]


def test_the_configuration_is_checked() -> None:
    for url in ("", "service:80", "ftp://service", "http://", "http://service?x=1", "http://service#x"):
        with pytest.raises(ValueError, match="base URL"):
            ConnectorConfig(url, "", SECRET)
    for secret in ("", "a\nb", "\u20ac"):
        with pytest.raises(ValueError, match="secret"):
            ConnectorConfig("http://service", "", secret)
    with pytest.raises(ValueError, match="timeouts"):
        ConnectorConfig("http://service", "", SECRET, read_timeout_s=0)


# -- TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with ScriptedServer(tls=context) as running:
        yield running


@pytest.fixture
def tls_client(tls_server: ScriptedServer, certificate: tuple[Path, Path]) -> Iterator[CTraderClient]:
    with CTraderClient(config_of(tls_server.url)) as running:
        running._transport._session.verify = str(certificate[0])
        yield running


def test_writes_over_tls(tls_server: ScriptedServer, tls_client: CTraderClient) -> None:
    tls_server.then(reply(200, CANCELLED), reply(200, CANCELLED), close_after_reading)
    for expected in (Confirmed, Confirmed, Unknown):
        assert isinstance(tls_client.write(REF, Kind.CANCEL, CANCEL, "k"), expected)
    assert tls_server.connections == 1


def test_the_whole_answer_is_bounded_over_tls_too(tls_server: ScriptedServer, tls_client: CTraderClient) -> None:
    tls_server.then(drip(raw_answer(200, b" " * 10_000)))
    began = time.monotonic()
    assert isinstance(tls_client.write(REF, Kind.CANCEL, CANCEL, "k"), Unknown)
    assert READ_TIMEOUT_S * 0.9 < time.monotonic() - began < READ_TIMEOUT_S + 2


def test_a_certificate_that_nobody_vouches_for_proves_that_nothing_was_sent(tls_server: ScriptedServer) -> None:
    with CTraderClient(config_of(tls_server.url)) as client:
        outcome = client.write(REF, Kind.CANCEL, CANCEL, "k")
    assert isinstance(outcome, NotSent)
    assert "SSLCertVerificationError" in outcome.reason
    assert tls_server.requests == []


def test_a_service_that_does_not_speak_tls_proves_that_nothing_was_sent(server: ScriptedServer) -> None:
    server.then(reply(200, CANCELLED))
    with CTraderClient(config_of(server.url.replace("http:", "https:"))) as client:
        assert isinstance(client.write(REF, Kind.CANCEL, CANCEL, "k"), NotSent)
    assert server.requests == []


def test_a_handshake_that_never_ends_proves_that_nothing_was_sent() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        CTraderClient(config_of(f"https://localhost:{mute.getsockname()[1]}")) as client,
    ):
        assert isinstance(client.write(REF, Kind.CANCEL, CANCEL, "k"), NotSent)


def test_silence_after_the_handshake_leaves_everything_unknown(
    tls_server: ScriptedServer, tls_client: CTraderClient
) -> None:
    tls_server.then(silence)
    assert isinstance(tls_client.write(REF, Kind.CANCEL, CANCEL, "k"), Unknown)
