"""Idempotency-Key: the same request again gets the same answer and does nothing."""

import threading
import uuid
from collections.abc import Callable

import pytest

from tests.contract.target import Answer, Caller

RIVALS = 5


def _again(first: Answer, second: Answer) -> None:
    assert (second.status, second.body) == (first.status, first.body)


def test_an_order_sent_twice_is_placed_once(caller: Caller) -> None:
    key, client_order_id = str(uuid.uuid4()), uuid.uuid4().hex
    first = caller.place(key, client_order_id=client_order_id)
    first.ok()
    for _ in range(3):
        _again(first, caller.place(key, client_order_id=client_order_id))
    assert len(caller.positions()) == 1


def test_a_partial_close_sent_twice_closes_once(caller: Caller) -> None:
    identity = str(caller.place().ok()["position_id"])
    key, body = str(uuid.uuid4()), {"client_order_id": uuid.uuid4().hex}
    request = {"position_id": identity, "symbol": caller.symbol, "volume": 0.03} | body
    first = caller.write("/trade/close", key, **request)
    first.ok()
    _again(first, caller.write("/trade/close", key, **request))
    assert float(caller.positions()[identity]["volume"]) == pytest.approx(0.07)


def test_two_equal_partial_closes_under_two_keys_are_two(caller: Caller) -> None:
    identity = str(caller.place().ok()["position_id"])
    caller.close(identity, 0.03).ok()
    caller.close(identity, 0.03).ok()
    assert float(caller.positions()[identity]["volume"]) == pytest.approx(0.04)


def test_a_late_repetition_does_not_undo_what_came_after(caller: Caller) -> None:
    identity = str(caller.place().ok()["position_id"])
    early, later = round(caller.bid() * 0.9, 4), round(caller.bid() * 0.95, 4)
    key = str(uuid.uuid4())
    request = {"position_id": identity, "symbol": caller.symbol, "take_profit": None}
    first = caller.write("/trade/modify-protection", key, stop_loss=early, **request)
    first.ok()
    caller.modify(identity, later, None).ok()
    _again(first, caller.write("/trade/modify-protection", key, stop_loss=early, **request))
    row = caller.positions()[identity]
    assert row.get("stop_loss", row.get("sl")) == pytest.approx(later)


def test_a_cancellation_sent_twice_is_answered_alike(caller: Caller) -> None:
    price = round(caller.bid() * 0.95, 4)
    order_id = str(caller.place(order_type="LIMIT", limit_price=price).ok()["order_id"])
    key = str(uuid.uuid4())
    first = caller.cancel(order_id, key)
    first.ok()
    _again(first, caller.cancel(order_id, key))


@pytest.mark.parametrize("change", [{"symbol": "NOSUCHSYMBOL"}, {"stop_loss": 99_999}], ids=str)
def test_a_refusal_is_replayed_too(caller: Caller, change: dict[str, object]) -> None:
    key, client_order_id = str(uuid.uuid4()), uuid.uuid4().hex
    first = caller.place(key, client_order_id=client_order_id, **change)
    assert first.refusal() is not None
    _again(first, caller.place(key, client_order_id=client_order_id, **change))


def test_a_key_with_another_body_does_nothing_new(caller: Caller) -> None:
    key = str(uuid.uuid4())
    caller.place(key).ok()
    caller.place(key, volume=0.2)
    assert [float(row["volume"]) for row in caller.positions().values()] == [pytest.approx(0.1)]


def test_two_orders_under_two_keys_are_two(caller: Caller) -> None:
    caller.place().ok()
    caller.place().ok()
    assert len(caller.positions()) == 2


def _at_once(ask: Callable[[], Answer]) -> list[Answer]:
    answers: list[Answer] = []
    barrier = threading.Barrier(RIVALS)

    def rival() -> None:
        barrier.wait(10)
        answers.append(ask())

    threads = [threading.Thread(target=rival) for _ in range(RIVALS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def test_the_same_order_at_the_same_time_is_placed_once(caller: Caller) -> None:
    key, client_order_id = str(uuid.uuid4()), uuid.uuid4().hex

    def ask() -> Answer:
        rival = Caller(caller.target, caller.account_id)
        try:
            return rival.place(key, client_order_id=client_order_id)
        finally:
            rival.end()

    answers = _at_once(ask)
    assert len(answers) == RIVALS
    done = [answer for answer in answers if answer.status == 200]
    assert done
    for answer in answers:
        if answer.status == 200:
            _again(done[0], answer)
        else:
            assert answer.status == 409
            assert answer.refusal() is not None
            assert answer.body["error"]["code"] == "IDEMPOTENCY_IN_PROGRESS"
    assert len(caller.positions()) == 1
