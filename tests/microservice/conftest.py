"""Fixtures: a paper venue on a stopped clock, and the whole microservice with its events."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microservice.server import BundledMicroservice
from tests.microservice.paper import ACCOUNT, Paper
from tests.microservice.service import EventReader, Service, settings

Start = Callable[..., Service]


@pytest.fixture
async def paper(tmp_path: Path) -> Any:  # pytest-asyncio: an async generator
    """A venue with the account connected, every price where its reference is, the clock standing still."""
    venue = Paper(tmp_path / "state.sqlite3")
    await venue.venue.connect(ACCOUNT, "internal")
    yield venue
    venue.close()


@pytest.fixture
def exchange() -> str:
    return f"test.{uuid.uuid4()}"


@pytest.fixture
def start(tmp_path: Path, exchange: str) -> Iterator[Start]:
    """Start microservices on one state file, one after the other; all are stopped in the end."""
    running: list[Service] = []

    def begin(**changes: Any) -> Service:
        app = BundledMicroservice(settings(tmp_path / "state.sqlite3", exchange, **changes))
        app.start()
        service = Service(app, exchange)
        running.append(service)
        return service

    yield begin
    for service in running:
        service.session.close()
        service.app.stop()


@pytest.fixture
def service(start: Start) -> Service:
    """A microservice whose market moves only when told, with the account connected."""
    begun = start(speed=0.0)
    begun.connect()
    return begun


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One microservice a module, for tests that change nothing: starting one costs a fifth of a second."""
    name = f"test.{uuid.uuid4()}"
    app = BundledMicroservice(settings(tmp_path_factory.mktemp("shared") / "state.sqlite3", name, speed=0.0))
    app.start()
    service = Service(app, name)
    service.connect()
    yield service
    service.session.close()
    app.stop()


@pytest.fixture
def reader(exchange: str) -> Iterator[EventReader]:
    """Reads the events; ask for it before ``service``."""
    listening = EventReader(exchange)
    yield listening
    listening.close()
