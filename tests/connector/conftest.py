"""A scripted service, and a client of it that waits for nothing."""

from collections.abc import Iterator

import pytest

from ctrader_app.connector import AccountRef, ConnectorConfig, CTraderClient
from tests.connector.scripted import ScriptedServer

SECRET = "shared-secret-0123456789"
TOKEN = "access-token-9876543210"
REF = AccountRef(wire_id="40012345", internal_id="6f2c4c1e-7a3c-4b58-9d0e-2a61f9c1a001", access_token=TOKEN)
READ_TIMEOUT_S = 0.4
CONNECT_TIMEOUT_S = 0.4


def config_of(url: str, prefix: str = "") -> ConnectorConfig:
    """A configuration with short timeouts."""
    return ConnectorConfig(url, prefix, SECRET, connect_timeout_s=CONNECT_TIMEOUT_S, read_timeout_s=READ_TIMEOUT_S)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """The waits between attempts, instead of waiting them."""
    return []


@pytest.fixture
def client(server: ScriptedServer, pauses: list[float]) -> Iterator[CTraderClient]:
    with CTraderClient(config_of(server.url), pause=pauses.append) as running:
        yield running
