"""The services that the suite runs against; tests/README.md says how to name another one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from microservice.server import BundledMicroservice
from microservice.settings import Settings
from tests.contract.listening import Listener
from tests.contract.target import Caller, Target
from tests.settings import TEST_SHARED_SECRET
from tests.standin.dialect import Dialect
from tests.standin.service import StandIn
from tests.support.rabbitmq import RabbitMQServer
from tests.system.brokers import lasting_amqp_url

EXTERNAL_URL = os.environ.get("CONTRACT_BASE_URL", "")


if EXTERNAL_URL:

    @pytest.fixture(autouse=True)
    def _loopback_only() -> None:
        """The service that was named may be on another machine: the guard that forbids that stays away."""


def external() -> Target:
    """The service named by the environment."""
    return Target(
        "external",
        EXTERNAL_URL.rstrip("/"),
        os.environ["CONTRACT_SECRET"],
        os.environ.get("CONTRACT_AMQP_URL") or None,
        os.environ.get("CONTRACT_EVENTS_EXCHANGE") or "ctrader.events",
        os.environ.get("CONTRACT_SYMBOL") or "EURUSD",
        os.environ.get("CONTRACT_OTHER_SYMBOL") or "GBPUSD",
        os.environ.get("CONTRACT_ACCOUNT_ID") or None,
    )


@pytest.fixture(scope="package", params=["external"] if EXTERNAL_URL else ["bundled", "standin", "standin-aliases"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One service after the other."""
    if request.param == "external":
        yield external()
        return
    rabbitmq: RabbitMQServer = request.getfixturevalue("rabbitmq")
    amqp_url = lasting_amqp_url(rabbitmq)
    if request.param == "bundled":
        state = Path(tmp_path_factory.mktemp("contract")) / "venue.sqlite3"
        service = BundledMicroservice(Settings(secret=TEST_SHARED_SECRET, amqp_url=amqp_url, port=0, state=state))
        service.start()
        yield Target("bundled", service.base_url, TEST_SHARED_SECRET, amqp_url)
        service.stop()
        return
    aliases = request.param == "standin-aliases"
    dialect = Dialect(aliases=aliases, pending_orders=not aliases)
    prefix = "/api/v1" if aliases else ""
    with StandIn(TEST_SHARED_SECRET, amqp_url=amqp_url, prefix=prefix, dialect=dialect) as standin:
        yield Target(request.param, standin.base_url + prefix, TEST_SHARED_SECRET, amqp_url)


@pytest.fixture
def caller(target: Target) -> Iterator[Caller]:
    """A connected account with nothing open."""
    with Caller.opened(target) as caller:
        yield caller


@pytest.fixture
def listener(target: Target) -> Iterator[Listener]:
    """A consumer of everything the service publishes."""
    if target.amqp_url is None:
        pytest.skip("CONTRACT_AMQP_URL is not set")
    with Listener(target.amqp_url, target.exchange) as listener:
        yield listener
