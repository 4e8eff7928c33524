"""The worker's parts, each by itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from kombu import Message

from ctrader_app.broadcast.broadcaster import Broadcaster
from ctrader_app.broadcast.messages import Message as LayerMessage
from ctrader_app.broadcast.messages import is_stale
from ctrader_app.consumers.stream.accounts import AWAY_FOR_S, UNKNOWN_FOR_S, AccountBook
from ctrader_app.consumers.stream.budget import ErrorBudget, StreamFailedError
from ctrader_app.consumers.stream.counters import Tally, total
from ctrader_app.consumers.stream.graveyard import BURST, Allowance, Graveyard
from ctrader_app.consumers.stream.market import MarketRelay
from ctrader_app.consumers.stream.options import stream_options
from ctrader_app.consumers.stream.pulse import PulseReport
from ctrader_app.consumers.stream.topology import Topology
from ctrader_app.consumers.stream.verdicts import RACES, Ruling, Verdict, rule
from ctrader_app.ledger import dead_letters, leases
from ctrader_app.ledger.dead_letters import BODY_BYTES, Letter
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import DeadLetter, Feed, TradingAccount
from ctrader_app.tasks.queue import QueueUnavailable
from ctrader_app.wire.errors import BadEvent, BadEventReason
from ctrader_app.wire.events import CandleUpdate, PriceTick, parse_event
from tests.stream import events
from tests.support.operations import make_account

# -- verdicts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "attempt", "verdict", "is_error"),
    [
        (None, 1, Verdict.ACK, False),
        (BadEvent(BadEventReason.NOT_JSON, "x"), 1, Verdict.DEAD_LETTER, False),
        (DataError("too long"), 1, Verdict.DEAD_LETTER, False),
        (OperationalError("away"), 99, Verdict.HOLD, True),
        (InterfaceError("closed"), 99, Verdict.HOLD, True),
        (QueueUnavailable("away"), 99, Verdict.HOLD, True),
        (IntegrityError("rival"), RACES, Verdict.HOLD, True),
        (IntegrityError("no rival"), RACES + 1, Verdict.DEAD_LETTER, True),
        (ProgrammingError("no such table"), 1, Verdict.DEAD_LETTER, True),
        (ZeroDivisionError("a defect"), 1, Verdict.DEAD_LETTER, True),
        (MemoryError(), 1, Verdict.STOP, True),
        (SystemExit(1), 1, Verdict.STOP, True),
        (KeyboardInterrupt(), 1, Verdict.STOP, True),
    ],
)
def test_the_ruling_is_by_the_type_of_the_error(
    error: BaseException | None, attempt: int, verdict: Verdict, is_error: bool
) -> None:
    ruling = rule(error, attempt)
    assert (ruling.verdict, ruling.is_error) == (verdict, is_error)
    assert bool(ruling.reason) is (verdict is Verdict.DEAD_LETTER)


def test_the_budget_is_of_consecutive_errors() -> None:
    budget = ErrorBudget(limit=4, first_pause_s=0.1, longest_pause_s=0.3)
    assert [round(budget.spend("x"), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    budget.restore()
    assert [round(budget.spend("x"), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    with pytest.raises(StreamFailedError, match="4 errors in a row, the last one: why"):
        budget.spend("why")


def test_counts_of_several_threads_are_summed() -> None:
    one, other = Tally(), Tally()
    one.add("a")
    one.add("b", 2)
    other.add("b", 3)
    assert total([one, other]) == {"a": 1, "b": 5}


# -- accounts ----------------------------------------------------------------------------------------------------


@pytest.fixture
def accounts(db: None) -> TradingAccount:
    return make_account(broker_login="1000001")


def test_an_account_is_found_by_its_id_and_by_its_login_and_looked_up_once(accounts: TradingAccount) -> None:
    book = AccountBook()
    with CaptureQueriesContext(connection) as queries:
        for _ in range(100):
            for reference in (str(accounts.pk), "1000001"):
                assert book.resolve(reference, "") == accounts.pk
                assert book.resolve(reference, "1000001") == accounts.pk
    assert len(queries) == 4


@pytest.mark.parametrize(
    ("reference", "login"),
    [("999", ""), ("not-a-login", ""), ("9e107d9d-372b-4f00-8d4c-3a1b0c2d4e5f", ""), ("1000001", "1000002")],
)
def test_an_account_that_is_not_ours_is_refused_without_a_query_a_message(
    reference: str, login: str, accounts: TradingAccount
) -> None:
    now = 0.0
    book = AccountBook(clock=lambda: now)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(10):
            with pytest.raises(BadEvent) as caught:
                book.resolve(reference, login)
            assert caught.value.reason is BadEventReason.UNKNOWN_ACCOUNT
    assert len(queries) == 1
    if reference == "999":
        late = make_account(broker_login="999")
        now = UNKNOWN_FOR_S
        assert book.resolve("999", "") == late.pk


def test_an_internal_id_does_not_excuse_a_foreign_login(accounts: TradingAccount) -> None:
    with pytest.raises(BadEvent, match="has not the login 42"):
        AccountBook().resolve(str(accounts.pk), "42")
    without_login = make_account()
    assert AccountBook().resolve(str(without_login.pk), "42") == without_login.pk


def test_a_login_that_two_accounts_have_names_neither(accounts: TradingAccount) -> None:
    make_account(broker_login="1000001", environment="live")
    with pytest.raises(BadEvent, match="more than one account"):
        AccountBook().resolve("1000001", "")
    assert AccountBook().resolve(str(accounts.pk), "") == accounts.pk


def test_the_account_of_another_platform_is_not_meant(accounts: TradingAccount) -> None:
    make_account(broker_login="77", platform="mt5")
    with pytest.raises(BadEvent):
        AccountBook().resolve("77", "")


def test_what_changed_is_seen_at_the_next_refresh_in_one_query(accounts: TradingAccount) -> None:
    others = [make_account(broker_login=str(number)) for number in range(20)]
    book = AccountBook()
    for other in others:
        book.resolve(other.broker_login, "")
    book.resolve(str(accounts.pk), "1000001")
    TradingAccount.objects.filter(pk=accounts.pk).update(broker_login="1000009")
    others[0].delete()
    with CaptureQueriesContext(connection) as queries:
        book.refresh()
    assert len(queries) == 1
    with pytest.raises(BadEvent):
        book.resolve(str(accounts.pk), "1000001")
    with pytest.raises(BadEvent):
        book.resolve("0", "")
    with CaptureQueriesContext(connection) as queries:
        assert book.resolve("1", "") == others[1].pk
    assert len(queries) == 0


# -- market ------------------------------------------------------------------------------------------------------


class Offers(Broadcaster):
    """A broadcaster that notes what it is offered."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[LayerMessage] = []

    def offer(self, group: str, key: object, build: Callable[[], LayerMessage]) -> None:
        """Note the message."""
        self.messages.append(build())


def relay_of(clock_s: float = 2e9) -> tuple[MarketRelay, Offers, Tally]:
    offers, tally = Offers(), Tally()
    return MarketRelay(offers, tally, clock=lambda: clock_s), offers, tally


ACCOUNT = "9e107d9d-372b-4f00-8d4c-3a1b0c2d4e5f"


def feed(relay: MarketRelay, body: bytes) -> None:
    event = parse_event(body)
    account_id = UUID(ACCOUNT)
    if isinstance(event, PriceTick):
        relay.tick(account_id, event)
    else:
        assert isinstance(event, CandleUpdate)
        relay.candle(account_id, event)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 100)), min_size=1))
def test_whatever_the_order_a_price_never_goes_back(arrivals: list[tuple[int, int]]) -> None:
    relay, offers, tally = relay_of()
    for second, bid in arrivals:
        feed(relay, events.tick(ACCOUNT, float(bid), occurred_at=events.at(second)))
    shown = [message["at"] for message in offers.messages]
    assert shown == sorted(shown)
    newest = max(second for second, _ in arrivals)
    last_of_newest = [bid for second, bid in arrivals if second == newest][-1]
    assert offers.messages[-1]["price"]["bid"] == last_of_newest
    assert tally.counts().get("stale.price.tick", 0) == len(arrivals) - len(shown)


@given(st.permutations([(bar, second) for bar in range(4) for second in range(4)]))
def test_whatever_the_order_every_bars_last_state_is_the_last_shown(arrivals: list[tuple[int, int]]) -> None:
    relay, offers, _ = relay_of()
    for bar, second in arrivals:
        feed(relay, events.candle(ACCOUNT, bar, 1.0 + second, occurred_at=events.at(60 * bar + second)))
    last = {message["candle"]["time"]: message["candle"]["close"] for message in offers.messages}
    assert last == {int(events.NOW.timestamp()) + 60 * bar: 4.0 for bar in range(4)}


def test_one_event_from_the_future_does_not_stop_the_prices() -> None:
    relay, offers, _ = relay_of(clock_s=events.NOW.timestamp() + 5)
    feed(relay, events.tick(ACCOUNT, 1.0, occurred_at=events.NOW + timedelta(days=300)))
    feed(relay, events.tick(ACCOUNT, 2.0, occurred_at=events.at(5)))
    assert [message["price"]["bid"] for message in offers.messages] == [1.0, 2.0]


def test_a_price_carries_its_age_as_of_when_it_is_sent() -> None:
    now_s = events.NOW.timestamp() + 2.5
    waiting: list[Callable[[], LayerMessage]] = []

    class Slow(Offers):
        def offer(self, group: str, key: object, build: Callable[[], LayerMessage]) -> None:
            waiting.append(build)

    relay = MarketRelay(Slow(), Tally(), clock=lambda: now_s)
    feed(relay, events.tick(ACCOUNT, 1.0))
    feed(relay, events.tick(ACCOUNT, 1.1, occurred_at=events.at(1)))
    feed(relay, events.tick(ACCOUNT, 1.2, occurred_at=events.at(99)))
    now_s += 1.25
    assert [build()["price"]["age_s"] for build in waiting] == [3.75, 2.75, 1.25]


def test_a_quote_that_is_only_repeated_grows_old_all_the_same() -> None:
    now_s = events.NOW.timestamp()
    relay, offers, _ = relay_of()
    relay._clock = lambda: now_s
    for second, bid in ((0, 1.0), (1, 1.1), (30, 1.1), (60, 1.1), (61, 1.2)):
        now_s = events.at(second).timestamp()
        feed(relay, events.tick(ACCOUNT, bid, occurred_at=events.at(second)))
    assert [message["price"]["age_s"] for message in offers.messages] == [0.0, 0.0, 29.0, 59.0, 0.0]
    assert [message["at"] for message in offers.messages] == [events.at(s).timestamp() for s in (0, 1, 30, 60, 61)]


def test_the_first_quote_of_a_stream_is_as_old_as_the_venue_says() -> None:
    relay, offers, _ = relay_of(clock_s=events.at(100).timestamp())
    feed(relay, events.tick(ACCOUNT, 1.0, occurred_at=events.at(100)))  # its time is NOW: sent again after a restart
    assert [message["price"]["age_s"] for message in offers.messages] == [100.0]


def test_an_old_price_is_relayed_and_marked_as_stale() -> None:
    now_s = events.NOW.timestamp()
    offers, tally = Offers(), Tally()
    relay = MarketRelay(offers, tally, clock=lambda: now_s, stale_after_s=10)
    marks: list[bool] = []
    # (now, bid, occurred): fresh; repeated while young; repeated when old, twice; news that comes late; news.
    for second, bid, occurred in (
        (1, 1.0, 1),
        (9, 1.0, 9),
        (60, 1.0, 60),
        (60.1, 1.0, 60.1),
        (99, 2.0, 80),
        (100, 3, 100),
    ):
        now_s = events.at(second).timestamp()
        feed(relay, events.tick(ACCOUNT, bid, occurred_at=events.at(occurred)))
        marks.append(is_stale(offers.messages[-1]))
    assert marks == [False, False, True, True, True, False]
    assert len(offers.messages) == len(marks)


# -- pulse -------------------------------------------------------------------------------------------------------


def wish(account: TradingAccount, *symbols: str, timeframe: str = "") -> None:
    for symbol in symbols:
        stream = Stream(account.pk, symbol, timeframe)
        leases.hold(stream, "x", 60)
        leases.confirm(stream)


def tell(relay: MarketRelay, account: TradingAccount, bid: float, second: float, symbol: str = "EURUSD") -> None:
    event = parse_event(events.tick(account, bid, symbol, occurred_at=events.at(second)))
    assert isinstance(event, PriceTick)
    relay.tick(account.pk, event)


def written() -> dict[str, float]:
    rows = Feed.objects.values_list("group", "last_event_at")
    return {group.rpartition("_")[2]: (at - events.NOW).total_seconds() for group, at in rows}


def test_of_a_stream_that_speaks_only_now_and_then_a_row_is_written(accounts: TradingAccount) -> None:
    relay, _, _ = relay_of()
    report = PulseReport(relay.pulse, stale_after_s=16)  # so: every 4 s, and after 2 s of silence
    wish(accounts, "EURUSD")
    counts: list[int] = []
    for tenth in range(0, 100, 5):
        tell(relay, accounts, 1.0 + tenth, tenth / 10)
        counts.append(report.send(events.at(tenth / 10).timestamp()))
    assert (sum(counts), written()) == (3, {"EURUSD": 8.0})
    assert report.send(events.at(11).timestamp()) == 0
    assert report.send(events.at(11.5).timestamp()) == 1  # silent: its very last event counts
    assert written() == {"EURUSD": 9.5}
    assert report.send(events.at(30).timestamp()) == 0


def test_only_what_is_wanted_is_written_and_in_two_statements(accounts: TradingAccount) -> None:
    relay, _, _ = relay_of()
    report = PulseReport(relay.pulse, stale_after_s=16)
    wish(accounts, *(f"S{number}" for number in range(30)))
    for number in range(60):
        tell(relay, accounts, 1.0, 0.0, f"S{number}")
    with CaptureQueriesContext(connection) as queries:
        assert report.send(events.NOW.timestamp()) == 30
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == 2
    assert set(written()) == {f"S{number}" for number in range(30)}


def test_groups_that_nobody_names_again_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctrader_app.consumers.stream.market.GROUPS_REMEMBERED", 10)
    relay, offers, _ = relay_of()
    for number in range(100):
        feed(relay, events.tick(ACCOUNT, symbol=f"S{number}"))
    assert len(relay._groups) <= 10
    monkeypatch.setattr("ctrader_app.consumers.stream.pulse.STREAMS_REMEMBERED", 10)
    for number in range(100):
        feed(relay, events.tick(ACCOUNT, symbol=f"T{number}"))
    assert len(relay.pulse._quotes) <= 10
    assert len(offers.messages) == 200


# -- dead letters ------------------------------------------------------------------------------------------------


def test_a_reason_has_an_allowance_of_its_own() -> None:
    now = 0.0
    allowance = Allowance(burst=3, rate_per_s=2.0, clock=lambda: now)
    assert [allowance.take("a") for _ in range(5)] == [True, True, True, False, False]
    assert allowance.take("b")
    now = 1.0
    assert [allowance.take("a") for _ in range(3)] == [True, True, False]


@pytest.mark.usefixtures("each_database")
def test_a_letter_is_kept_as_it_arrived_within_bounds() -> None:
    headers: dict[str, Any] = {
        "nul\x00": "a\x00b", "bytes": b"\xff", "number": 7, "flag": True, "none": None, "nested": {"a": [1]},
        "surrogate": "\ud800", "long": "x" * 5000, **{f"h{number}": "" for number in range(100)},
    }  # fmt: skip
    dead_letters.record([
        Letter("not_json", "detail\x00", b"\x00" * (BODY_BYTES + 5), "key\x00", headers), Letter("other", "", b""),
    ])  # fmt: skip
    letter = DeadLetter.objects.get(reason="not_json")
    assert (len(bytes(letter.body)), letter.size) == (BODY_BYTES, BODY_BYTES + 5)
    assert letter.headers["number"] == 7
    assert letter.headers["nested"] == "{'a': [1]}"
    assert len(letter.headers) == 50
    assert len(letter.headers["long"]) == 1000
    assert "\x00" not in letter.routing_key + letter.detail
    assert letter.status == "new"
    connection.close()


@pytest.mark.usefixtures("db")
def test_only_the_newest_letters_of_each_reason_stay() -> None:
    dead_letters.record([Letter("a", str(number), b"") for number in range(10)])
    dead_letters.record([Letter("b", str(number), b"") for number in range(2)])
    assert dead_letters.prune(kept=3) == 7
    assert list(DeadLetter.objects.order_by("pk").values_list("reason", "detail")) == [
        ("a", "7"), ("a", "8"), ("a", "9"), ("b", "0"), ("b", "1"),
    ]  # fmt: skip
    assert dead_letters.prune(kept=3) == 0


def test_the_options_come_from_the_settings(settings: Any) -> None:
    settings.AMQP_URL, settings.AMQP_STATE_QUEUE_TYPE = "amqp://user:secret@broker//", "classic"
    options = stream_options()
    assert (options.url, options.quorum, options.in_memory) == ("amqp://user:secret@broker//", False, False)
    assert "secret" not in repr(options)


def message(body: bytes) -> Any:
    make: Any = Message
    return make(body=body)


@pytest.mark.usefixtures("db")
def test_a_letter_that_cannot_be_written_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    record = dead_letters.record

    def pick(letters: Sequence[Letter]) -> None:
        if any(letter.body == b"poison" for letter in letters):
            raise DataError("cannot be stored")
        record(letters)

    monkeypatch.setattr(dead_letters, "record", pick)
    tally = Tally()
    options = replace(stream_options(), url="memory://", stem=f"t{uuid4().hex}")
    graveyard = Graveyard(options, Topology(options), tally)
    ruling = Ruling(Verdict.DEAD_LETTER, "not_json")
    for body in (b"one", b"poison", b"two"):
        assert graveyard.leave(message(body), ruling)
    graveyard.work_off()
    assert [bytes(letter.body) for letter in DeadLetter.objects.order_by("pk")] == [b"one", b"two"]
    assert tally.counts()["dead_letters_not_kept"] == 1
    graveyard.close()


def test_a_flood_of_bad_messages_is_bounded() -> None:
    options = replace(stream_options(), url="memory://", stem=f"t{uuid4().hex}")
    graveyard = Graveyard(options, Topology(options), Tally(), clock=lambda: 0.0)
    kept = [graveyard.leave(message(b"x" * 100), Ruling(Verdict.DEAD_LETTER, "not_json")) for _ in range(10_000)]
    assert sum(kept) == BURST
    large = [graveyard.leave(message(b"x" * 4_000_000), Ruling(Verdict.DEAD_LETTER, f"r{n}")) for n in range(10)]
    assert sum(large) < 5


def test_a_database_that_is_away_is_not_asked_for_every_tick(
    accounts: TradingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = 0.0, 0

    def away(*_args: object, **_kwargs: object) -> Any:
        nonlocal asked
        asked += 1
        raise OperationalError("away")

    book = AccountBook(clock=lambda: now)
    with monkeypatch.context() as patch:
        patch.setattr(TradingAccount.objects, "filter", away)
        for _ in range(10):
            with pytest.raises(OperationalError):
                book.resolve("1000001", "")
        assert asked == 1
        now = AWAY_FOR_S
        with pytest.raises(OperationalError):
            book.resolve("1000001", "")
        assert asked == 2
    now = 2 * AWAY_FOR_S
    assert book.resolve("1000001", "") == accounts.pk
