"""What the system tests of one module share: the embedded system."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.system import EmbeddedSystem
from tests.system.client import Api
from tests.system.embedded import api_of


@dataclass(frozen=True)
class Embedded:
    """A running embedded system and how long it took to be ready."""

    system: EmbeddedSystem
    api: Api
    seconds_to_ready: float


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    """One for the tests of a module."""
    system = EmbeddedSystem()
    started_s = time.monotonic()
    with system:
        yield Embedded(system, api_of(system), time.monotonic() - started_s)
