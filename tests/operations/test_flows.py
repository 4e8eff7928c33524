"""The five flows, executed here, against the bundled microservice."""

import sys
import uuid
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent
from ctrader_app.domain.operations import State
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Operation, TradingAccount, TradingControl
from ctrader_app.operations.execute import CLAIM_GOOD_FOR, execute
from tests.support.operations import Venue, make_account, order


def run(account: TradingAccount, intent: Intent, *, key: str | None = None, ttl_s: float = 30) -> Operation:
    """Open and execute an operation; its row afterwards."""
    operation, _ = ledger.open_operation(account, intent, key=key, ttl_s=ttl_s, now=timezone.now(), actor="test")
    execute(operation.pk, actor="test")
    return ledger.get(operation.pk)


def opened(account: TradingAccount, **fields: object) -> tuple[Operation, str]:
    """A filled order and its position's id."""
    operation = run(account, order(**fields))
    assert operation.state == State.SUCCEEDED, operation.error_message
    assert operation.result is not None
    return operation, str(operation.result["opened_position_ticket"])


def test_place_fills_once_with_an_mt5_shaped_result(account: TradingAccount, venue: Venue) -> None:
    operation, position_id = opened(account, stop_loss="0.9", label="mine")
    result = operation.result
    assert result is not None
    assert result["status"] == "filled"
    assert result["volume"] == 0.1
    assert result["operation_id"] == str(operation.pk)
    assert result["client_order_id"] == operation.client_order_id
    assert result["position_info"]["ticket"] == result["opened_position_ticket"] == int(position_id)
    assert result["position_info"]["type"] == 0
    assert result["position_info"]["sl"] == 0.9
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1
    steps = list(operation.transitions.values_list("from_state", "to_state"))
    assert steps == [("", "queued"), ("queued", "sending"), ("sending", "succeeded")]


def test_executing_again_sends_nothing(account: TradingAccount, venue: Venue) -> None:
    operation, _ = opened(account)
    for _ in range(3):
        assert execute(operation.pk, actor="again").state is State.SUCCEEDED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_a_pending_order_is_placed_and_cancelled(account: TradingAccount, venue: Venue) -> None:
    placed = run(account, order(order_type="LIMIT", limit_price="0.5"))
    assert placed.result is not None
    assert placed.result["status"] == "pending"
    assert placed.result["opened_position_ticket"] is None
    assert placed.result["position_info"] == {}
    order_id = str(placed.result["order_id"])
    cancelled = run(account, CancelIntent.of_arguments(order_id))
    assert cancelled.state == State.SUCCEEDED
    unknown = run(account, CancelIntent.of_arguments("999999"))
    assert (unknown.state, unknown.error_code) == (State.REFUSED, "ORDER_NOT_FOUND")


def test_cancelling_an_order_that_filled_is_refused(account: TradingAccount, venue: Venue) -> None:
    placed = run(account, order(order_type="LIMIT", limit_price="0.5"))
    assert placed.result is not None
    venue.move("EURUSD", 0.49)
    try:
        cancelled = run(account, CancelIntent.of_arguments(str(placed.result["order_id"])))
    finally:
        venue.move("EURUSD", 1.08)
    assert cancelled.state == State.REFUSED
    assert cancelled.error_code == "ORDER_FILLED"


def test_close_in_part_then_all_of_the_rest(account: TradingAccount, venue: Venue) -> None:
    _, position_id = opened(account, lot_size="0.3")
    part = run(account, CloseIntent.of_arguments(position_id, "EURUSD", "0.1"))
    assert part.result is not None
    assert (part.result["closed_volume"], part.result["remaining_volume"]) == (0.1, 0.2)
    assert part.result["retcode"] == 10009
    rest = run(account, CloseIntent.of_arguments(position_id, "", None))
    assert rest.result is not None
    assert (rest.result["closed_volume"], rest.result["remaining_volume"]) == (0.2, 0.0)


def test_two_equal_partial_closes_are_two_intents(account: TradingAccount, venue: Venue) -> None:
    _, position_id = opened(account, lot_size="0.3")
    for left in (0.2, 0.1):
        part = run(account, CloseIntent.of_arguments(position_id, "EURUSD", "0.1"))
        assert part.result is not None
        assert part.result["remaining_volume"] == left


def test_moving_only_the_stop_keeps_the_target(account: TradingAccount, venue: Venue) -> None:
    _, position_id = opened(account, stop_loss="0.9", take_profit="1.5")
    moved = run(account, ModifyIntent.of_arguments(position_id, "EURUSD", "0.95", None))
    assert moved.result is not None
    assert (moved.result["stop_loss"], moved.result["take_profit"]) == (0.95, 1.5)
    removed = run(account, ModifyIntent.of_arguments(position_id, "EURUSD", None, 0))
    assert removed.result is not None
    assert (removed.result["stop_loss"], removed.result["take_profit"]) == (0.95, None)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"symbol": "NOSUCH"}, "UNKNOWN_SYMBOL"),
        ({"lot_size": "0.015"}, "TRADING_BAD_VOLUME"),
        ({"stop_loss": "5"}, "TRADING_BAD_STOPS"),
        ({"lot_size": "90"}, "NOT_ENOUGH_MONEY"),
    ],
)
def test_a_refusal_keeps_the_venue_s_code(
    account: TradingAccount, venue: Venue, fields: dict[str, str], code: str
) -> None:
    operation = run(account, order(**fields))
    assert operation.state == State.REFUSED
    assert operation.error_code == code
    assert operation.error_message
    assert venue.effects(client_order_id=operation.client_order_id)["deals"] == 0


def test_closing_an_unknown_position_is_refused(account: TradingAccount, venue: Venue) -> None:
    operation = run(account, CloseIntent.of_arguments("999999", "EURUSD", "0.1"))
    assert (operation.state, operation.error_code) == (State.REFUSED, "POSITION_NOT_FOUND")


def test_past_its_deadline_nothing_is_sent(account: TradingAccount, venue: Venue) -> None:
    operation = run(account, order(), ttl_s=-1)
    assert (operation.state, operation.error_code) == (State.EXPIRED, "EXPIRED")
    assert operation.attempts == 0
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 0


def test_a_sender_held_up_after_its_claim_gives_it_back(
    account: TradingAccount, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine stood still, say. Meanwhile others may have taken it for dead and settled the doubt."""
    claim = ledger.claim

    def claim_long_ago(operation: Operation, *, now: datetime, **details: Any) -> bool:
        return claim(operation, now=now - 2 * CLAIM_GOOD_FOR, **details)

    monkeypatch.setattr(ledger, "claim", claim_long_ago)
    operation = run(account, order())
    assert (operation.state, operation.attempts) == (State.QUEUED, 1)
    assert operation.reason == "not executed: the sender was held up after its claim"
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 0
    monkeypatch.undo()
    Operation.objects.filter(pk=operation.pk).update(not_before=None)
    assert execute(operation.pk, actor="test").state is State.SUCCEEDED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_an_unreachable_service_is_tried_again_until_the_deadline(account: TradingAccount, settings: Settings) -> None:
    settings.CTRADER_API_BASE_URL = "http://127.0.0.1:9"
    operation, _ = ledger.open_operation(account, order(), key=None, ttl_s=30, now=timezone.now(), actor="test")
    verdict = execute(operation.pk, actor="test")
    assert verdict.state is State.QUEUED
    assert [step.operation_id for step in verdict.follow_ups] == [operation.pk]
    operation.refresh_from_db()
    assert operation.attempts == 1
    assert operation.not_before is not None
    Operation.objects.filter(pk=operation.pk).update(not_before=None, deadline=timezone.now())
    assert execute(operation.pk, actor="test").state is State.EXPIRED


# -- one write per position ---------------------------------------------------------------------------------------


def test_writes_of_one_position_go_in_order_of_creation(account: TradingAccount, venue: Venue) -> None:
    _, position_id = opened(account)
    now = timezone.now()

    def queue(intent: Intent) -> uuid.UUID:
        return ledger.open_operation(account, intent, key=None, ttl_s=60, now=now, actor="test")[0].pk

    modify = queue(ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", None))
    close = queue(CloseIntent.of_arguments(position_id, "EURUSD", None))
    early = execute(close, actor="test")
    assert early.state is State.QUEUED
    assert early.blocked_by == modify
    done = execute(modify, actor="test")
    assert done.state is State.SUCCEEDED
    assert [step.operation_id for step in done.follow_ups] == [close]
    assert execute(close, actor="test").state is State.SUCCEEDED


def test_the_database_itself_refuses_a_second_write_in_flight(account: TradingAccount) -> None:
    """A rival that passed the look at the lane at the same moment is stopped by the constraint."""
    now = timezone.now()
    first, second = (
        ledger.open_operation(
            account, CloseIntent.of_arguments("7", "EURUSD", "0.1"), key=None, ttl_s=60, now=now, actor="test"
        )[0]
        for _ in range(2)
    )
    assert ledger.claim(first, body={}, baseline=None, now=now, actor="one")
    assert not ledger.claim(second, body={}, baseline=None, now=now, actor="two")
    second.refresh_from_db()
    assert second.state == State.QUEUED


# -- switches -----------------------------------------------------------------------------------------------------


def test_the_kill_switch_stops_what_is_queued_and_leaves_closing(account: TradingAccount, venue: Venue) -> None:
    _, position_id = opened(account)
    TradingControl.objects.create(opening_enabled=False, reason="news at 14:30")
    denied = run(account, order())
    assert (denied.state, denied.error_code, denied.error_message) == (
        State.REFUSED,
        "DENIED_OPENING_STOPPED",
        "news at 14:30",
    )
    assert denied.attempts == 0
    assert run(account, CloseIntent.of_arguments(position_id, "", None)).state == State.SUCCEEDED


def test_one_account_can_be_stopped(account: TradingAccount, venue: Venue) -> None:
    account.trading_enabled = False
    account.save()
    assert run(account, order()).error_code == "DENIED_ACCOUNT_STOPPED"


def test_with_execution_off_nothing_leaves(account: TradingAccount, venue: Venue, settings: Settings) -> None:
    settings.CTRADER_EXECUTION_ENABLED = False
    operation = run(account, order())
    assert (operation.state, operation.error_code) == (State.REFUSED, "DENIED_EXECUTION_DISABLED")
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 0


def objecting_check(_account: object, _intent: object) -> None:
    """A host's pre-trade check that says no."""
    raise ValueError("too much exposure")


def unwritable_check(_account: object, _intent: object) -> None:
    """What it says can be kept by no database."""
    raise RuntimeError("a\x00b \ud800")


def ending_check(_account: object, _intent: object) -> None:
    """It would take the worker with it."""
    sys.exit("enough")


class Speechless(Exception):  # noqa: N818 - it names what it is
    """It cannot even be asked what it says."""

    def __str__(self) -> str:
        raise ValueError("nothing")


def speechless_check(_account: object, _intent: object) -> None:
    """It raises, and asking what raises again."""
    raise Speechless


def false_check(_account: object, _intent: object) -> bool:
    """It returns its no."""
    return False


def content_check(_account: object, _intent: object) -> None:
    """It has no objection."""


@pytest.mark.usefixtures("postgres_db")
@pytest.mark.parametrize(
    ("check", "says"),
    [
        ("objecting_check", "objecting_check: too much exposure"),
        ("unwritable_check", "unwritable_check: a\ufffdb ?"),
        ("ending_check", "ending_check: enough"),
        ("speechless_check", "speechless_check: Speechless"),
        ("false_check", "false_check: it returned False"),
        ("no_such_check", "no_such_check"),
    ],
)
def test_a_check_that_objects_denies_whatever_it_raises(settings: Settings, check: str, says: str) -> None:
    settings.CTRADER_PRE_TRADE_CHECKS = [f"{__name__}.content_check", f"{__name__}.{check}"]
    operation = run(make_account(), order())
    assert (operation.state, operation.error_code) == (State.REFUSED, "DENIED_PRE_TRADE_CHECK")
    assert says in operation.error_message
    assert operation.attempts == 0


def test_a_check_without_an_objection_lets_it_pass_and_is_not_asked_about_closing(
    account: TradingAccount, venue: Venue, settings: Settings
) -> None:
    settings.CTRADER_PRE_TRADE_CHECKS = [f"{__name__}.content_check"]
    _, position_id = opened(account)
    settings.CTRADER_PRE_TRADE_CHECKS = [f"{__name__}.objecting_check"]
    assert run(account, CloseIntent.of_arguments(position_id, "", None)).state == State.SUCCEEDED
