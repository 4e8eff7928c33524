"""One effect a key: replays, conflicts, restarts, kills."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from microservice.clock import ManualClock
from microservice.database import Database
from microservice.idempotency import RETENTION_MS, Claim, Journal
from tests.microservice.conftest import Start
from tests.microservice.service import ACCOUNT, SECRET, Service
from tests.support.ports import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
REPLAYED = "Idempotency-Replayed"


@pytest.mark.parametrize("path", ["/trade/place", "/trade/close", "/trade/modify-protection", "/order/cancel"])
def test_every_write_needs_a_key(shared: Service, path: str) -> None:
    body: dict[str, Any] = {
        "account_id": ACCOUNT, "symbol": "EURUSD", "direction": "BUY", "volume": 0.1, "position_id": "1",
        "order_id": "1", "stop_loss": None, "take_profit": None,
    }  # fmt: skip
    answer = shared.post(path, None, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
    answer = shared.post(path, "x" * 256, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "IDEMPOTENCY_KEY_INVALID")


def test_the_same_key_is_answered_alike_and_done_once(service: Service) -> None:
    first = service.place("key", client_order_id="c")
    again = service.place("key", client_order_id="c")
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert service.effects(client_order_id="c")["opens"] == 1


def test_what_counts_as_the_same_request(service: Service) -> None:
    first = service.place("key", volume=0.1)
    assert service.place("key", volume="0.10").content == first.content
    assert service.place("key", volume=0.1, stop_loss=None, unknown=1).content == first.content
    late = service.place("key", volume=0.1, expires_at="2020-01-01T00:00:00Z")
    assert late.content == first.content, "a replay is answered however late it comes"
    other = service.place("key", volume=0.2)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    elsewhere = service.close(first.json()["position_id"], key="key")
    assert elsewhere.json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"


def test_keys_belong_to_accounts(service: Service) -> None:
    service.connect("4712")
    assert REPLAYED not in service.place("key").headers
    assert REPLAYED not in service.place("key", account_id="4712").headers


def test_equal_intents_under_different_keys_are_different(service: Service) -> None:
    position = service.open(volume=0.3)
    for key, left in (("a", 0.2), ("b", 0.1)):
        assert service.close(position, 0.1, key).json()["remaining_volume"] == pytest.approx(left)
    assert service.close(position, 0.1, "a").json()["remaining_volume"] == pytest.approx(0.2)
    assert service.effects(position_id=position)["closes"] == 2


def test_refusals_are_kept_but_a_missing_session_is_not(service: Service) -> None:
    refused = service.place("no", volume=90)
    assert refused.json()["error"]["code"] == "NOT_ENOUGH_MONEY"
    again = service.place("no", volume=90)
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (422, refused.content, "true")
    service.post("/disconnect", account_id=ACCOUNT)
    assert service.place("later").status_code == 401
    service.connect()
    answer = service.place("later")
    assert answer.status_code == 200
    assert REPLAYED not in answer.headers


@pytest.mark.parametrize("fault", ["401", "429", "503", "drop_before"])
def test_what_was_not_executed_is_not_kept(service: Service, fault: str) -> None:
    service.arm(kind=fault, endpoint="/trade/place")
    if fault == "drop_before":
        with pytest.raises(requests.ConnectionError):
            service.place("key")
    else:
        assert service.place("key").status_code == int(fault)
    answer = service.place("key")
    assert answer.status_code == 200
    assert REPLAYED not in answer.headers


def test_a_key_at_work_is_in_progress(service: Service) -> None:
    service.arm(kind="delay", endpoint="/trade/place", seconds=0.5)
    answers: list[requests.Response] = []
    slow = threading.Thread(target=lambda: answers.append(service.place("key")))
    slow.start()

    def armed_has_hit() -> bool:
        return bool(service.get("/_faults").json()["armed"][0]["hits"] == 1)

    wait_until(armed_has_hit)
    busy = service.place("key")
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    slow.join()
    assert answers[0].status_code == 200
    assert service.place("key").headers[REPLAYED] == "true"


def test_records_survive_a_restart(start: Start) -> None:
    service = start(speed=0.0)
    service.connect()
    first = service.place("key", client_order_id="c")
    service.app.stop()
    again = start(speed=0.0)
    replay = again.place("key", client_order_id="c")
    assert (replay.content, replay.headers[REPLAYED]) == (first.content, "true")
    assert again.effects(client_order_id="c")["positions"] == 1


def test_records_are_purged_after_a_day(tmp_path: Path) -> None:
    database, clock = Database(tmp_path / "state.sqlite3"), ManualClock(10**12)
    journal, claim = Journal(database, clock), Claim("1", "key", "print")
    assert journal.begin(claim) is None
    journal.record(claim, 200, b"{}")
    journal.end(claim)
    clock.advance(RETENTION_MS - 1)
    journal.purge()
    assert journal.begin(claim) is not None
    clock.advance(1)
    assert journal.begin(claim) is None
    journal.purge()
    assert database.execute("SELECT count(*) FROM idempotency").fetchone() == (0,)
    database.close()


# --- killed in the middle ---------------------------------------------------------------------------------


class Process:
    """The microservice as a process of its own, to be killed."""

    def __init__(self, state: Path) -> None:
        self.port = free_port()
        self.state = state
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {SECRET}"
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "INTERNAL_SHARED_SECRET": SECRET, "AMQP_URL": "memory://"}
        command = [sys.executable, "-m", "microservice", "--port", str(self.port), "--state", str(self.state)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        assert b"ready" in self.process.stdout.readline()
        return self.process

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def post(self, path: str, key: str, **body: object) -> requests.Response:
        return self.session.post(
            f"http://127.0.0.1:{self.port}{path}", json=body, headers={"Idempotency-Key": key}, timeout=5
        )

    def read(self, path: str, **query: str) -> dict[str, object]:
        url = f"http://127.0.0.1:{self.port}{path}"
        return dict(self.session.get(url, params={"account_id": ACCOUNT, **query}, timeout=5).json())


def test_killed_at_any_point_every_key_has_one_effect(tmp_path: Path) -> None:
    service = Process(tmp_path / "state.sqlite3")
    keys = [str(uuid.uuid4()) for _ in range(60)]
    sent = 0

    def send(key: str) -> requests.Response:
        return service.post(
            "/trade/place", key, account_id=ACCOUNT, symbol="EURUSD", direction="BUY", volume=0.01,
            client_order_id=key,
        )  # fmt: skip

    def burst(begun: threading.Event) -> None:
        nonlocal sent
        for key in keys[sent:]:
            try:
                if send(key).status_code == 200:
                    sent += 1
                    if sent % 20 == 0:
                        begun.set()
            except requests.RequestException:  # killed, possibly in the middle of an answer
                return

    try:
        service.post("/connect", "-", account_id=ACCOUNT, internal_account_id="i")
        for _ in range(2):
            reached = threading.Event()
            sender = threading.Thread(target=burst, args=(reached,))
            sender.start()
            assert reached.wait(10)
            service.kill()
            sender.join()
            service.start()
        answers = [send(key) for key in keys]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["position_id"] for answer in answers}) == len(keys)
        for key in keys:
            assert service.read("/_effects", client_order_id=key)["opens"] == 1
        figures = service.read("/account-info")
        assert figures["balance"] == 10_000.0
        positions = service.read("/open-positions")["open_positions"]
        assert isinstance(positions, list)
        assert len(positions) == len(keys)
    finally:
        service.kill()
        service.session.close()


def test_a_failure_in_the_middle_leaves_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory must follow the ledger when a transaction is rolled back."""
    real: Callable[..., None] = Journal.record

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Journal, "record", full)
    assert service.place("key", client_order_id="c").status_code == 500
    monkeypatch.setattr(Journal, "record", real)
    assert service.read("/open-positions")["open_positions"] == []
    assert service.effects(client_order_id="c")["orders"] == 0
    answer = service.place("key", client_order_id="c")
    assert answer.status_code == 200
    assert REPLAYED not in answer.headers
    assert service.effects(client_order_id="c")["positions"] == 1
