"""Replays of a doubt: what may not be replayed, what a replay cannot settle, and who speaks for it."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from ctrader_app.connector import AccountRef, CTraderClient
from ctrader_app.domain import outcomes
from ctrader_app.domain.intents import CloseIntent
from ctrader_app.domain.operations import Kind, State
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Operation, TradingAccount, TradingControl
from ctrader_app.operations import gateway
from ctrader_app.operations.execute import execute
from ctrader_app.operations.resolve import REPLAY_PROMISE_S, REPLAYS_ALONE, resolve
from tests.operations.test_doubt import submitted
from tests.operations.test_flows import opened, run
from tests.support.operations import Venue, order
from tests.support.waiting import wait_until


class Overtaken:
    """The client of a sender that is taken for dead before it sends: a replay overtakes it."""

    def __init__(self, client: CTraderClient, operation: Operation, venue: Venue, fault: str) -> None:
        self._client, self._operation, self._venue, self._fault = client, operation, venue, fault
        self._is_overtaken = False

    def write(self, ref: AccountRef, kind: Kind, body: Mapping[str, object], idempotency_key: str) -> outcomes.Outcome:
        if not self._is_overtaken:
            self._is_overtaken = True
            assert execute(self._operation.pk, actor="rival", redelivered=True).state is State.IN_DOUBT
            self._venue.arm("/trade/place", "drop_after")
            assert resolve(self._operation.pk, actor="rival").state is State.IN_DOUBT
            self._venue.arm("/trade/place", self._fault, count=2)
        return self._client.write(ref, kind, body, idempotency_key)


@pytest.mark.parametrize("fault", ["401", "429"])
def test_a_sender_taken_for_dead_speaks_for_no_replay(
    account: TradingAccount, venue: Venue, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It is refused, or told to wait, before anybody looks at its key, when a replay has been carried out already."""
    run(account, order())
    operation = submitted(account, order())
    overtaken = Overtaken(gateway.client(), operation, venue, fault)
    monkeypatch.setattr(gateway, "client", lambda: overtaken)
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    monkeypatch.undo()
    venue.disarm()
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


# -- switches thrown during a doubt ------------------------------------------------------------------------------


def _stop_all(account: TradingAccount, settings: Settings) -> None:
    TradingControl.objects.create(opening_enabled=False)


def _stop_account(account: TradingAccount, settings: Settings) -> None:
    TradingAccount.objects.filter(pk=account.pk).update(trading_enabled=False)


def _stop_execution(account: TradingAccount, settings: Settings) -> None:
    settings.CTRADER_EXECUTION_ENABLED = False


@pytest.mark.parametrize("stop", [_stop_all, _stop_account, _stop_execution])
def test_a_switch_stops_the_replay_that_would_be_the_first_to_arrive(
    account: TradingAccount, venue: Venue, settings: Settings, stop: Callable[[TradingAccount, Settings], None]
) -> None:
    run(account, order())
    lost, unheard = submitted(account, order()), submitted(account, order())
    venue.arm("/trade/place", "drop_before")
    assert execute(lost.pk, actor="test").state is State.IN_DOUBT
    venue.arm("/trade/place", "drop_after")
    assert execute(unheard.pk, actor="test").state is State.IN_DOUBT
    stop(account, settings)
    assert resolve(unheard.pk, actor="test").state is State.SUCCEEDED
    assert resolve(lost.pk, actor="test").state is State.IN_DOUBT
    assert venue.effects(client_order_id=lost.client_order_id)["orders"] == 0


def test_while_opening_is_stopped_a_late_replay_tells_and_a_close_is_replayed(
    account: TradingAccount, venue: Venue
) -> None:
    _, position_id = opened(account)
    lost, _ = ledger.open_operation(account, order(), key=None, ttl_s=0.5, now=timezone.now(), actor="test")
    close = submitted(account, CloseIntent.of_arguments(position_id, "EURUSD", None))
    for operation, path in ((lost, "/trade/place"), (close, "/trade/close")):
        venue.arm(path, "drop_before")
        assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    TradingControl.objects.create(opening_enabled=False)
    assert resolve(close.pk, actor="test").state is State.SUCCEEDED
    wait_until(lambda: timezone.now() > lost.deadline, 5.0, "its deadline has passed")
    assert resolve(lost.pk, actor="test").state is State.REFUSED
    assert venue.effects(client_order_id=lost.client_order_id)["orders"] == 0


# -- replays that prove nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["error_after", "401"])
def test_what_no_replay_can_tell_is_found_by_looking(account: TradingAccount, venue: Venue, answer: str) -> None:
    """The key is stuck at the service, say, while the position is there for all to see."""
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "drop_after")
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    venue.arm("/trade/place", answer, count=1000)
    for _ in range(REPLAYS_ALONE):
        assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.SUCCEEDED
    operation.refresh_from_db()
    assert operation.reason == "its effect was found"
    assert operation.result is not None
    assert operation.result["opened_position_ticket"]
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 1


def test_while_it_may_be_replayed_an_absence_proves_nothing(account: TradingAccount, venue: Venue) -> None:
    run(account, order())
    operation = submitted(account, order())
    venue.arm("/trade/place", "drop_before", count=1000)
    assert execute(operation.pk, actor="test").state is State.IN_DOUBT
    for _ in range(REPLAYS_ALONE + 3):
        assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    operation.refresh_from_db()
    assert operation.absences == 0
    past = timezone.now() - timedelta(seconds=REPLAY_PROMISE_S + 1)
    Operation.objects.filter(pk=operation.pk).update(deadline=past, claimed_at=past)
    assert resolve(operation.pk, actor="test").state is State.IN_DOUBT
    assert resolve(operation.pk, actor="test").state is State.FAILED
    assert venue.effects(client_order_id=operation.client_order_id)["orders"] == 0
