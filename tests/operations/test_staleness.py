"""Which prices are stale, judged from the tables, and who tells it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ctrader_app.broadcast.broadcaster import get_broadcaster
from ctrader_app.broadcast.groups import candle_group, price_group
from ctrader_app.ledger import duties, feeds, leases
from ctrader_app.ledger.feeds import News
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import Duty, Feed, SubscriptionLease, TradingAccount
from ctrader_app.operations import housekeeping, staleness
from ctrader_app.operations.staleness import Judge
from tests.broadcast.recording import RecordingLayer, recording_layer
from tests.support.operations import make_account


@pytest.fixture
def account(each_database: str) -> Iterator[TradingAccount]:
    yield make_account(broker_login="1000001")
    connection.close()


@pytest.fixture
def layer() -> Iterator[RecordingLayer]:
    with recording_layer() as recording:
        yield recording


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def wish(
    account: TradingAccount, symbol: str = "EURUSD", timeframe: str = "", holder: str = "a", since_s: float = 0.0
) -> Stream:
    """A stream that is held and produced since so many seconds."""
    stream = Stream(account.pk, symbol, timeframe)
    leases.hold(stream, holder, 60)
    leases.confirm(stream)
    mine = SubscriptionLease.objects.filter(**stream._asdict(), holder=holder)
    mine.update(produced_since=ago(since_s), confirmed_at=timezone.now())
    return stream


def heard(account: TradingAccount, symbol: str, seconds_ago: float) -> None:
    at = time.time() - seconds_ago
    quote = (datetime.fromtimestamp(at, UTC), 1.25, 1.5)
    feeds.note({price_group(account.pk, symbol): News(at, quote)})


def ages() -> dict[str, int]:
    return {each.stream.symbol: round(age_s) for each, age_s in staleness.prices(timezone.now())}


def told(layer: RecordingLayer) -> list[str]:
    assert get_broadcaster().flush(10)
    assert all(message["price"]["stale"] for _, message in layer.sent)
    return [message["price"]["symbol"] for message in layer.of("price_tick")]


def test_silence_is_counted_from_the_last_news_or_from_when_there_should_have_been_some(
    account: TradingAccount,
) -> None:
    wish(account, "SPOKE", since_s=500)
    heard(account, "SPOKE", 20)
    wish(account, "NEVER", since_s=30)
    wish(account, "LONG_AGO", since_s=5)
    heard(account, "LONG_AGO", 4000)  # by somebody who wanted it then
    assert ages() == {"SPOKE": 20, "NEVER": 30, "LONG_AGO": 5}


def test_what_nobody_wants_or_nobody_produces_is_not_stale(account: TradingAccount) -> None:
    leases.hold(Stream(account.pk, "REFUSED", ""), "a", 60)
    wish(account, "EXPIRED", since_s=100)
    SubscriptionLease.objects.filter(symbol="EXPIRED").update(expires_at=ago(1))
    wish(account, "BARS", "M1", since_s=100)
    assert ages() == {}


def test_a_stream_that_is_asked_for_again_does_not_become_younger(account: TradingAccount) -> None:
    stream = wish(account, since_s=100)
    wish(account, symbol="eurusd", holder="b", since_s=10)
    leases.confirm(stream)
    assert ages() == {"EURUSD": 100}


def test_of_two_workers_the_later_word_stands(account: TradingAccount) -> None:
    wish(account, "A", since_s=500)
    wish(account, "B", since_s=500)
    for seconds_ago in (50, 20, 40):
        heard(account, "A", seconds_ago)
    assert ages() == {"A": 20, "B": 500}
    assert Feed.objects.count() == 1


def test_a_stale_price_is_told_to_its_group_and_to_no_other(account: TradingAccount, layer: RecordingLayer) -> None:
    wish(account, since_s=40)
    wish(account, "GBPUSD", since_s=40)
    heard(account, "GBPUSD", 5)
    wish(account, "EURUSD", "M1", since_s=40)
    assert Judge("one").round() == 1
    assert told(layer) == ["EURUSD"]
    group, message = layer.sent[0]
    assert group == price_group(account.pk, "EURUSD")
    assert 39 < message["price"].pop("age_s") < 60
    assert message["price"] == {
        "symbol": "EURUSD", "bid": None, "ask": None, "time": None, "timestamp": None, "stale": True
    }  # fmt: skip
    # A price of a moment ago, which the table does not know yet, takes it back.
    assert 2 < time.time() - message["at"] < 15


def test_the_last_price_is_told_with_it(account: TradingAccount, layer: RecordingLayer) -> None:
    wish(account, since_s=60)
    heard(account, "EURUSD", 40)
    Judge("one").round()
    assert told(layer) == ["EURUSD"]
    price = layer.sent[0][1]["price"]
    assert (price["bid"], price["ask"]) == (1.25, 1.5)
    assert 39 < price["age_s"] < 60
    quoted_at = datetime.fromisoformat(price["time"])
    assert abs(quoted_at - ago(40)) < timedelta(seconds=20)


def test_one_of_many_tells_and_another_one_once_it_has_died(account: TradingAccount, layer: RecordingLayer) -> None:
    wish(account, since_s=40)
    judges = [Judge(name) for name in ("one", "two", "three")]
    assert [judge.round() for judge in judges] == [1, 0, 0]
    assert [judge.round() for judge in judges] == [1, 0, 0]
    assert told(layer) == ["EURUSD"]
    Duty.objects.update(until=ago(1))
    assert [judge.round() for judge in judges[1:]] == [1, 0]
    assert judges[0].round() == 0
    assert told(layer) == ["EURUSD"] * 2
    judges[1].leave()
    assert judges[2].round() == 1
    assert told(layer) == ["EURUSD"] * 3


def test_it_is_told_once_and_again_after_a_while(
    account: TradingAccount, layer: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish(account, since_s=40)
    judge = Judge("one")
    for _ in range(3):
        assert judge.round() == 1
    assert told(layer) == ["EURUSD"]
    monkeypatch.setattr(staleness, "TELL_AGAIN_S", 0.0)
    judge.round()
    assert told(layer) == ["EURUSD"] * 2
    heard(account, "EURUSD", 0)
    assert judge.round() == 0
    assert told(layer) == ["EURUSD"] * 2
    monkeypatch.setattr(staleness, "TELL_AGAIN_S", 1000.0)
    wish(account, since_s=40)
    Feed.objects.update(last_event_at=ago(16))
    assert judge.round() == 1
    assert told(layer) == ["EURUSD"] * 3


def test_nothing_is_judged_right_after_the_database_was_away(
    account: TradingAccount, layer: RecordingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish(account, since_s=40)
    judge = Judge("one")

    def away(*_args: Any) -> Any:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(duties, "take", away)
        with pytest.raises(OperationalError):
            judge.round()
    assert judge.round() == 0  # the workers could not say what they heard meanwhile
    judge._failed_s = time.monotonic() - 60
    assert judge.round() == 1


def test_a_round_costs_the_same_few_queries_whatever_is_wanted(account: TradingAccount, layer: RecordingLayer) -> None:
    judge = Judge("one")
    judge.round()
    counts: list[int] = []
    for number in range(3):
        for symbol in range(10):
            wish(account, f"S{number}_{symbol}", since_s=40)
        with CaptureQueriesContext(connection) as queries:
            assert judge.round() == 10 * (number + 1)
        counts.append(len(queries))
    assert counts == [3, 3, 3]


def test_rows_of_streams_that_nobody_reads_any_more_are_cleared_away(account: TradingAccount) -> None:
    heard(account, "OLD", 8 * 86_400)
    heard(account, "NEW", 10)
    assert housekeeping.purge()["feeds"] == 1
    assert list(Feed.objects.values_list("group", flat=True)) == [price_group(account.pk, "NEW")]


def test_bars_are_feeds_too(account: TradingAccount) -> None:
    wish(account, "EURUSD", "M1", since_s=100)
    group = candle_group(account.pk, "EURUSD", "M1")
    feeds.note({group: News(time.time() - 7)})
    (bars,) = feeds.wanted()
    assert bars.group == group
    assert abs(bars.since - ago(7)) < timedelta(seconds=5)
