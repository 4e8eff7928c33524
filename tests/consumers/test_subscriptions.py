"""Leases: the first holder starts a stream, the last one to go, or to die, stops it, in whatever order they meet."""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.errors import AuthenticationError, ConnectorError, RequestRefusedError
from connectors.errors import ConnectionError as CannotConnect
from ctrader_app.ledger import leases
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import SubscriptionLease, TradingAccount
from ctrader_app.operations import subscriptions
from tests.consumers.service import FakeService
from tests.support.operations import make_account


@pytest.fixture
def account(each_database: str) -> Iterator[TradingAccount]:
    yield make_account(broker_login="1000001")
    connection.close()


@pytest.fixture
def stream(account: TradingAccount) -> Stream:
    return Stream(account.pk, "EURUSD", "")


def running(service: FakeService, stream: Stream) -> bool:
    return (str(stream.account_id), stream.symbol, stream.timeframe) in service.running


def expire(**which: Any) -> None:
    SubscriptionLease.objects.filter(**which).update(expires_at=timezone.now() - timedelta(seconds=1))


def in_threads(*calls: Callable[[], object]) -> None:
    """Run the calls at once, each on a database connection of its own; what they raise is raised."""
    failures: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if failures:
        raise failures[0]


def test_the_first_holder_starts_and_the_last_one_stops(stream: Stream, service: FakeService) -> None:
    for holder in ("a", "b", "c"):
        subscriptions.acquire(*stream, holder, 30)
    assert service.calls == [("start", (str(stream.account_id), "EURUSD", ""))]
    for holder in ("b", "a"):
        subscriptions.release(*stream, holder)
        assert running(service, stream)
    subscriptions.release(*stream, "c")
    assert not running(service, stream)
    assert service.count("stop") == 1
    assert not SubscriptionLease.objects.exists()


def test_ticks_and_bars_are_streams_of_their_own(account: TradingAccount, service: FakeService) -> None:
    for timeframe in ("", "M1", "H4"):
        subscriptions.acquire(account.pk, "EURUSD", timeframe, "a", 30)
    assert {timeframe for _, _, timeframe in service.running} == {"", "M1", "H4"}
    subscriptions.release(account.pk, "EURUSD", "M1", "a")
    assert {timeframe for _, _, timeframe in service.running} == {"", "H4"}


def test_two_spellings_of_a_symbol_are_one_stream_to_its_last_holder(
    account: TradingAccount, service: FakeService
) -> None:
    subscriptions.acquire(account.pk, "EURUSD", "", "a", 30)
    subscriptions.acquire(account.pk, "eurusd", "", "b", 30)
    assert service.count("start") == 1
    subscriptions.release(account.pk, "EURUSD", "", "a")
    assert service.count("stop") == 0
    subscriptions.release(account.pk, "eurusd", "", "b")
    assert service.count("stop") == 1


def test_a_holder_that_died_is_swept_after_its_time(stream: Stream, service: FakeService) -> None:
    subscriptions.acquire(*stream, "dead", 30)
    subscriptions.acquire(*stream, "alive", 30)
    assert subscriptions.sweep_leases() == 0
    expire(holder="dead")
    assert subscriptions.sweep_leases() == 1
    assert running(service, stream)
    assert list(SubscriptionLease.objects.values_list("holder", flat=True)) == ["alive"]
    expire()
    subscriptions.sweep_leases()
    assert not running(service, stream)
    assert not SubscriptionLease.objects.exists()


def test_an_expired_lease_does_not_count_as_produced(stream: Stream, service: FakeService) -> None:
    subscriptions.acquire(*stream, "dead", 30)
    expire()
    subscriptions.acquire(*stream, "b", 30)
    assert service.count("start") == 2


def test_leases_are_renewed_all_at_once(account: TradingAccount, service: FakeService) -> None:
    streams = {Stream(account.pk, f"S{number}", "") for number in range(20)}
    for stream in streams:
        subscriptions.acquire(*stream, "a", 1)
    with CaptureQueriesContext(connection) as queries:
        assert subscriptions.renew("a", 30) == streams
    assert len(queries) == 2
    soonest = SubscriptionLease.objects.order_by("expires_at").values_list("expires_at", flat=True)[0]
    assert soonest > timezone.now() + timedelta(seconds=20)
    assert subscriptions.renew("nobody", 30) == set()


@pytest.mark.parametrize(
    "failure", [CannotConnect("away"), AuthenticationError("expired"), RequestRefusedError("unknown symbol")]
)
def test_a_start_that_failed_is_said_and_tried_again(
    failure: ConnectorError, stream: Stream, service: FakeService
) -> None:
    service.failure = failure
    with pytest.raises(type(failure)):
        subscriptions.acquire(*stream, "a", 30)
    service.failure = None
    subscriptions.acquire(*stream, "b", 30)
    assert running(service, stream)
    subscriptions.acquire(*stream, "a", 30)
    assert service.count("start") == 2


def test_a_stop_that_failed_is_left_to_the_sweep(stream: Stream, service: FakeService) -> None:
    subscriptions.acquire(*stream, "a", 30)
    service.failure = CannotConnect("away")
    subscriptions.release(*stream, "a")
    assert SubscriptionLease.objects.count() == 1
    assert subscriptions.sweep_leases() == 0
    service.failure = None
    assert subscriptions.sweep_leases() == 1
    assert not running(service, stream)
    assert not SubscriptionLease.objects.exists()


def test_a_stream_that_the_service_does_not_know_needs_no_stop(stream: Stream, service: FakeService) -> None:
    subscriptions.acquire(*stream, "a", 30)
    service.failure = RequestRefusedError("not subscribed")
    subscriptions.release(*stream, "a")
    assert not SubscriptionLease.objects.exists()


def test_all_wanted_streams_are_asked_for_again(account: TradingAccount, service: FakeService) -> None:
    for number in range(10):
        subscriptions.acquire(account.pk, f"S{number}", "", "a", 30)
    expire(symbol="S0")
    service.running.clear()
    assert subscriptions.renew_production() == 9
    assert {symbol for _, symbol, _ in service.running} == {f"S{number}" for number in range(1, 10)}


def test_a_service_that_is_away_does_not_keep_the_renewal_for_ever(
    account: TradingAccount, service: FakeService
) -> None:
    for number in range(50):
        subscriptions.acquire(account.pk, f"S{number}", "", "a", 30)
    service.failure = CannotConnect("away")
    service.calls.clear()
    assert subscriptions.renew_production() == 0
    assert len(service.calls) == subscriptions.GIVEN_UP_AFTER
    service.failure = RequestRefusedError("unknown symbol")
    service.calls.clear()
    subscriptions.renew_production()
    assert len(service.calls) == 50


def test_a_silent_stream_is_asked_for_only_while_it_is_wanted(stream: Stream, service: FakeService) -> None:
    subscriptions.ensure(*stream)
    assert service.calls == []
    subscriptions.acquire(*stream, "a", 30)
    subscriptions.ensure(*stream)
    assert service.count("start") == 2


# -- races, each forced at the point where it hurts ----------------------------------------------------------------


def test_somebody_comes_while_the_last_one_is_stopping(
    stream: Stream, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriptions.acquire(*stream, "a", 30)
    stop = service.unsubscribe_price

    def rival_before_the_stop(*arguments: Any) -> None:
        subscriptions.acquire(*stream, "b", 30)
        stop(*arguments)

    monkeypatch.setattr(service, "unsubscribe_price", rival_before_the_stop)
    subscriptions.release(*stream, "a")
    assert running(service, stream)
    assert list(SubscriptionLease.objects.values_list("holder", flat=True)) == ["b"]


def test_the_last_one_goes_while_somebody_is_coming(
    stream: Stream, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriptions.acquire(*stream, "a", 30)
    is_produced = leases.is_produced

    def rival_before_the_look(asked: Stream) -> bool:
        monkeypatch.setattr(leases, "is_produced", is_produced)
        subscriptions.release(*stream, "a")
        return is_produced(asked)

    monkeypatch.setattr(leases, "is_produced", rival_before_the_look)
    subscriptions.acquire(*stream, "b", 30)
    assert running(service, stream)


def test_a_lease_taken_up_again_under_the_sweep_survives_it(
    stream: Stream, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriptions.acquire(*stream, "a", 30)
    expire()
    stop = service.unsubscribe_price

    def rival_before_the_stop(*arguments: Any) -> None:
        assert subscriptions.renew("a", 30) == {stream}
        stop(*arguments)

    monkeypatch.setattr(service, "unsubscribe_price", rival_before_the_stop)
    subscriptions.sweep_leases()
    assert running(service, stream)
    assert SubscriptionLease.objects.get().holder == "a"


def test_a_process_that_dies_while_stopping_leaves_the_stop_to_the_sweep(
    stream: Stream, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriptions.acquire(*stream, "a", 30)
    with monkeypatch.context() as patch:

        def die(*_arguments: Any) -> None:
            raise SystemExit

        patch.setattr(service, "unsubscribe_price", die)
        with pytest.raises(SystemExit):
            subscriptions.release(*stream, "a")
    assert running(service, stream)
    subscriptions.sweep_leases()
    assert not running(service, stream)


def test_many_processes_that_come_and_go_at_random_leave_the_right_streams_running(
    account: TradingAccount, service: FakeService
) -> None:
    symbols = [f"S{number}" for number in range(4)]
    kept: list[set[tuple[str, str]]] = [set() for _ in range(6)]

    def live(process: int) -> None:
        chance = random.Random(process)
        held = kept[process]
        for _ in range(25):
            symbol = chance.choice(symbols)
            key = (symbol, f"p{process}")
            if key in held:
                held.remove(key)
                subscriptions.release(account.pk, symbol, "", f"p{process}")
            else:
                subscriptions.acquire(account.pk, symbol, "", f"p{process}", 60)
                held.add(key)

    in_threads(*(lambda process=process: live(process) for process in range(6)))
    wanted = {symbol for held in kept for symbol, _ in held}
    assert {symbol for _, symbol, _ in service.running} == wanted
    rows = set(SubscriptionLease.objects.values_list("symbol", "holder"))
    assert rows == {key for held in kept for key in held}
