"""How the embedded system starts, ends, and goes on from its state."""

import signal
import time
from pathlib import Path

import pytest

from tests.support.processes import ManagedProcess
from tests.support.system import EmbeddedSystem
from tests.support.waiting import wait_until
from tests.system.client import FINAL, Api, Json
from tests.system.conftest import Embedded
from tests.system.embedded import EmbeddedVenue, api_of

STOP_WITHIN_S = 15.0
REPEATS = 5


def _stopped(system: EmbeddedSystem) -> None:
    """SIGTERM, and a clean end in time."""
    asked_s = time.monotonic()
    system.process.send_signal(signal.SIGTERM)
    status = system.process.wait_for_exit(STOP_WITHIN_S)
    assert status == 0, system.process.log_tail()
    assert time.monotonic() - asked_s < STOP_WITHIN_S
    system.stop()


def _books(api: Api) -> tuple[dict[str, Json], list[Json]]:
    return api.positions(), [{**row, "attempts": 0} for row in api.get("{}/operations")]


def test_a_second_system_on_the_same_state_says_so_and_ends(embedded: Embedded) -> None:
    second = EmbeddedSystem(state=embedded.system.state)
    try:
        second.process.start()
        assert second.process.wait_for_exit(20.0) == 2
        assert "another server uses the state folder" in second.process.log()
    finally:
        second.close()
    assert embedded.api.get("accounts")


def test_a_taken_port_is_said_and_ends_it(embedded: Embedded, tmp_path: Path) -> None:
    second = EmbeddedSystem(port=embedded.system.port, state=tmp_path / "state")
    try:
        second.process.start()
        assert second.process.wait_for_exit(20.0) == 2
        assert f"port {embedded.system.port} is not free" in second.process.log()
    finally:
        second.close()


def test_a_restart_goes_on_where_it_was(embedded: Embedded) -> None:
    system, before = embedded.system, embedded.system.ready
    api = embedded.api
    position_id = api.opened(volume=0.3)
    api.protect(position_id, stop_loss=round(api.bid() - 0.05, 5))
    positions, operations = _books(api)
    _stopped(system)
    system.start()
    assert system.ready == before
    after = api_of(system)
    positions_now, operations_now = _books(after)
    assert operations_now == operations
    kept = ("position_id", "symbol", "direction", "volume", "open_price", "stop_loss", "open_time")
    assert [{name: row[name] for name in kept} for row in positions_now.values()] == [
        {name: row[name] for name in kept} for row in positions.values()
    ]
    assert after.close(position_id).status == 200


def test_a_stop_is_clean_with_an_open_socket_and_a_trade_in_flight(embedded: Embedded) -> None:
    """Five times over one state: every trade has one outcome in the end, and the venue agrees."""
    system = embedded.system
    operations: list[str] = []
    for round_number in range(REPEATS):
        api = api_of(system)
        with EmbeddedVenue(system) as venue, api.account_socket() as socket, api.prices() as prices:
            prices.wait_price()
            venue.arm("/trade/place", "delay", seconds=0.5 * round_number)
            placed = api.trade(wait_s=None, ttl=120)
            operations.append(placed.body["id"])
            if round_number % 2:
                socket.wait_operation(operations[-1], "sending")
            _stopped(system)
        system.start()
    api = api_of(system)
    outcomes = {each: api.settled(each) for each in operations}
    with EmbeddedVenue(system) as venue:
        for outcome in outcomes.values():
            effects = venue.effects(client_order_id=outcome["client_order_id"])
            assert outcome["state"] in FINAL
            assert effects["opens"] == (1 if outcome["state"] == "succeeded" else 0), outcome
    for position_id in api.positions():
        assert api.close(position_id).status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_it_starts_is_clean_too(number: signal.Signals) -> None:
    system = EmbeddedSystem()
    try:
        process: ManagedProcess = system.process
        process.start()
        # The signals have their handlers before the database is made.
        wait_until((system.state / "django.sqlite3").exists, 20.0, "the database is being made")
        process.send_signal(number)
        assert process.wait_for_exit(STOP_WITHIN_S) == 0
        assert "Traceback" not in process.log()
    finally:
        system.close()
