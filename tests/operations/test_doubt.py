"""Answers that prove nothing, and what settles them."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from ctrader_app.connector import CTraderClient
from ctrader_app.domain.intents import CancelIntent, CloseIntent, Intent, ModifyIntent
from ctrader_app.domain.operations import State
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Operation, TradingAccount
from ctrader_app.operations import gateway
from ctrader_app.operations.execute import execute
from ctrader_app.operations.resolve import ask_again, resolve, settle_as_happened, settle_as_not_happened
from ctrader_app.operations.sweep import doubt_all_sending, sweep
from ctrader_app.operations.verdicts import Step
from tests.operations.test_flows import opened, run
from tests.support.operations import Venue, order


def submitted(account: TradingAccount, intent: Intent) -> Operation:
    """A queued operation."""
    return ledger.open_operation(account, intent, key=None, ttl_s=30, now=timezone.now(), actor="test")[0]


@pytest.mark.parametrize("fault", ["drop_after", "error_after", "unreadable", "truncated"])
def test_an_answer_lost_after_the_effect_is_replayed_not_repeated(
    account: TradingAccount, venue: Venue, fault: str
) -> None:
    run(account, order())  # connects the account, so that the fault meets the order itself
    operation = submitted(account, order())
    venue.arm("/trade/place", fault)
    verdict = execute(operation.pk, actor="test")
    assert verdict.state is State.IN_DOUBT
    assert [step.step for step in verdict.follow_ups] == [Step.RESOLVE]
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_a_request_lost_before_the_effect_is_carried_out_once_by_the_replay(
    account: TradingAccount, venue: Venue
) -> None:
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "drop_before")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_a_replay_that_comes_too_late_executes_nothing(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation, _ = ledger.open_operation(account, order(), key=None, ttl_s=0.5, now=timezone.now(), actor="test")
    venue.arm("/trade/place", "drop_before")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    venue.arm("/trade/place", "delay", seconds=0.6)
    assert resolve(operation.pk, actor="test").state is State.REFUSED
    operation.refresh_from_db()
    assert operation.error_code == "ORDER_EXPIRED"
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 0


def test_a_service_that_asks_to_wait_has_not_executed(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "429", retry_after=0.05)
    assert execute(operation.pk, actor="test").state is State.QUEUED
    Operation.objects.filter(pk=operation.pk).update(not_before=None)
    assert execute(operation.pk, actor="test").state is State.SUCCEEDED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_a_dead_sender_s_operation_is_doubted_and_settled(account: TradingAccount, venue: Venue) -> None:
    """Killed between the claim and the first byte: the replay carries it out, once."""
    run(account, order())
    operation = submitted(account, order())
    body = {"account_id": account.wire_id, "symbol": "EURUSD", "direction": "BUY", "volume": "0.1"}
    body |= {"order_type": "MARKET", "client_order_id": operation.client_order_id}
    assert ledger.claim(operation, body=body, baseline=None, now=timezone.now(), actor="dead")
    assert execute(operation.pk, actor="test").state is State.SENDING  # perhaps it lives
    assert execute(operation.pk, actor="test", redelivered=True).state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_a_claim_lost_to_a_dead_sender_is_noticed_by_who_was_given_its_message(
    account: TradingAccount, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead one's claim is carried out by the database after its message was given to somebody else."""
    claim = ledger.claim

    def claim_after_the_dead(operation: Operation, **details: Any) -> bool:
        assert claim(ledger.get(operation.pk), **{**details, "actor": "dead"})
        return claim(operation, **details)

    run(account, order())
    overtaken, doubted = submitted(account, order()), submitted(account, order())
    monkeypatch.setattr(ledger, "claim", claim_after_the_dead)
    assert execute(overtaken.pk, actor="test").state is State.SENDING  # perhaps it lives
    assert execute(doubted.pk, actor="test", redelivered=True).state is State.IN_DOUBT
    assert resolve(doubted.pk, actor="test").state is State.SUCCEEDED
    assert venue.effects(client_order_id=doubted.client_order_id)["orders"] == 1


def test_the_sweep_doubts_what_was_abandoned(account: TradingAccount, venue: Venue) -> None:
    operation = submitted(account, order())
    long_ago = timezone.now() - timedelta(seconds=gateway.longest_write_s() + 1)
    Operation.objects.filter(pk=operation.pk).update(state=State.SENDING, claimed_at=long_ago, attempts=1)
    swept = sweep()
    assert swept.doubted == 1
    assert (Step.RESOLVE, operation.pk) in [(step.step, step.operation_id) for step in swept.follow_ups]


def test_a_process_that_is_alone_doubts_all_that_is_being_sent(account: TradingAccount, venue: Venue) -> None:
    sending, queued = submitted(account, order()), submitted(account, order())
    assert ledger.claim(sending, body={}, baseline=None, now=timezone.now(), actor="dead")
    assert doubt_all_sending() == 1
    sending.refresh_from_db()
    queued.refresh_from_db()
    assert (sending.state, queued.state) == (State.IN_DOUBT, State.QUEUED)


def test_the_sweep_publishes_what_lost_its_message_and_expires_the_rest(account: TradingAccount) -> None:
    waiting, stale = submitted(account, order()), submitted(account, order())
    past = timezone.now() - timedelta(seconds=60)
    Operation.objects.filter(pk=waiting.pk).update(updated_at=past)
    Operation.objects.filter(pk=stale.pk).update(deadline=past)
    swept = sweep()
    assert [step.operation_id for step in swept.follow_ups] == [waiting.pk]
    stale.refresh_from_db()
    assert stale.state == State.EXPIRED
    assert sweep().follow_ups == ()


# -- without the promise of replay -------------------------------------------------------------------------------


@pytest.fixture
def no_replay(settings: Settings) -> None:
    """A service that executes whatever it is sent, keys or not."""
    settings.CTRADER_IDEMPOTENT_WRITES = False


@pytest.mark.usefixtures("no_replay")
def test_an_order_is_found_by_its_client_order_id(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    operation.refresh_from_db()
    assert operation.result is not None
    assert operation.result["opened_position_ticket"]
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


@pytest.mark.usefixtures("no_replay")
def test_an_order_that_filled_and_closed_is_found_in_the_history(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation = submitted(account, order(stop_loss="0.9"))
    venue.arm("/trade/place", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    venue.move("EURUSD", 0.8)
    try:
        assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    finally:
        venue.move("EURUSD", 1.08)
    operation.refresh_from_db()
    assert operation.result is not None
    assert operation.result["deal_id"]


@pytest.mark.usefixtures("no_replay")
def test_an_order_absent_twice_from_a_complete_history_had_no_effect(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "drop_before")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    for _ in range(3):
        assert resolve(operation.pk, actor="test").state is State.IN_DOUBT  # it may still be on its way
    Operation.objects.filter(pk=operation.pk).update(claimed_at=timezone.now() - timedelta(minutes=5))
    assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.FAILED


@pytest.fixture
def no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that keeps no order history."""
    monkeypatch.setattr(CTraderClient, "order_history", lambda *_: None)


@pytest.mark.usefixtures("no_replay", "no_history")
def test_without_a_history_an_unseen_order_stays_in_doubt_for_a_person(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "drop_before")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    Operation.objects.filter(pk=operation.pk).update(claimed_at=timezone.now() - timedelta(days=30))
    for _ in range(4):
        assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    assert settle_as_not_happened(operation.pk, "alice")
    operation.refresh_from_db()
    assert (operation.state, operation.error_code) == (State.FAILED, "NO_EFFECT")
    assert operation.transitions.last().actor == "alice"  # type: ignore[union-attr]
    assert not settle_as_happened(operation.pk, "1", "bob")


@pytest.mark.usefixtures("no_replay")
def test_a_close_is_settled_by_what_is_left(account: TradingAccount, venue: Venue) -> None:
    _, position_id = opened(account, lot_size="0.3")
    operation = submitted(account, CloseIntent.of_arguments(position_id, "EURUSD", "0.1"))
    venue.arm("/trade/close", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    operation.refresh_from_db()
    assert operation.result is not None
    assert (operation.result["closed_volume"], operation.result["remaining_volume"]) == (0.1, 0.2)
    assert operation.result["close_price"]


@pytest.mark.usefixtures("no_replay")
def test_a_close_without_effect_fails_after_two_absences_once_the_dust_has_settled(
    account: TradingAccount, venue: Venue
) -> None:
    _, position_id = opened(account)
    operation = submitted(account, CloseIntent.of_arguments(position_id, "EURUSD", "0.1"))
    venue.arm("/trade/close", "drop_before")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    for _ in range(3):
        assert resolve(operation.pk, actor="test").state is State.IN_DOUBT  # a request may still be on its way
    Operation.objects.filter(pk=operation.pk).update(claimed_at=timezone.now() - timedelta(minutes=5))
    assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.FAILED
    operation.refresh_from_db()
    assert operation.error_code == "NO_EFFECT"


@pytest.mark.usefixtures("no_replay")
def test_a_modify_is_settled_by_the_levels(account: TradingAccount, venue: Venue) -> None:
    _, position_id = opened(account)
    operation = submitted(account, ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", None))
    venue.arm("/trade/modify-protection", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED


@pytest.mark.usefixtures("no_replay")
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_modify_that_changes_nothing_is_settled_once_it_can_no_longer_arrive(
    account: TradingAccount, venue: Venue, fault: str
) -> None:
    """Its levels are there from the start: settled at once, it would let the next modify go, and arrive after that."""
    _, position_id = opened(account)
    levels = ModifyIntent.of_arguments(position_id, "EURUSD", "0.9", None)
    assert run(account, levels).state == State.SUCCEEDED
    operation = submitted(account, levels)
    venue.arm("/trade/modify-protection", fault)
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    for _ in range(3):
        assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    Operation.objects.filter(pk=operation.pk).update(claimed_at=timezone.now() - timedelta(minutes=5))
    assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED


def resting(account: TradingAccount) -> str:
    """A working order's id."""
    placed = run(account, order(order_type="LIMIT", limit_price="0.5"))
    assert placed.result is not None
    return str(placed.result["order_id"])


@pytest.mark.usefixtures("no_replay")
def test_a_cancellation_is_found_in_the_history(account: TradingAccount, venue: Venue) -> None:
    operation = submitted(account, CancelIntent.of_arguments(resting(account)))
    venue.arm("/order/cancel", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    operation.refresh_from_db()
    assert operation.evidence.endswith("of the history is cancelled")


@pytest.mark.usefixtures("no_replay")
def test_a_fill_before_the_cancellation_is_found_in_the_history(account: TradingAccount, venue: Venue) -> None:
    """Though its position is gone again: a stop took it."""
    placed = run(account, order(order_type="LIMIT", limit_price="0.5", stop_loss="0.4"))
    assert placed.result is not None
    operation = submitted(account, CancelIntent.of_arguments(str(placed.result["order_id"])))
    venue.arm("/order/cancel", "drop_before")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    try:
        venue.move("EURUSD", 0.49)
        venue.move("EURUSD", 0.3)
        assert resolve(operation.pk, actor="test").state is State.REFUSED
    finally:
        venue.move("EURUSD", 1.08)
    operation.refresh_from_db()
    assert operation.error_code == "ORDER_FILLED"


@pytest.mark.usefixtures("no_replay", "no_history")
def test_without_a_history_an_order_that_is_gone_stays_in_doubt(account: TradingAccount, venue: Venue) -> None:
    operation = submitted(account, CancelIntent.of_arguments(resting(account)))
    venue.arm("/order/cancel", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    for _ in range(3):
        assert resolve(operation.pk, actor="test").state is State.IN_DOUBT


@pytest.mark.usefixtures("no_replay")
def test_what_an_earlier_cancellation_did_is_not_taken_for_a_later_one_s(account: TradingAccount, venue: Venue) -> None:
    order_id = resting(account)
    assert run(account, CancelIntent.of_arguments(order_id)).state == State.SUCCEEDED
    operation = submitted(account, CancelIntent.of_arguments(order_id))
    venue.arm("/order/cancel", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.REFUSED
    assert venue.effects(account_id=str(account.pk))["cancellations"] == 1


# -- a person's word ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_replay", "no_history")
def test_a_person_can_say_that_it_happened_or_have_it_examined(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "drop_before")
    execute(operation.pk, actor="test")
    for _ in range(2):
        assert ask_again(operation.pk, "alice").state is State.IN_DOUBT
    asked = operation.transitions.filter(reason="a person asks again")
    assert list(asked.values_list("from_state", "to_state", "actor")) == [("in_doubt", "in_doubt", "alice")] * 2
    assert settle_as_happened(operation.pk, "4711", "alice")
    operation.refresh_from_db()
    assert operation.state == State.SUCCEEDED
    assert operation.result is not None
    assert operation.result["opened_position_ticket"] == 4711
    assert operation.result["price"] is None
