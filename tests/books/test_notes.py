"""What an event alone books: a closure, and the account's figures."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from ctrader_app.domain.facts import AccountFigures, Direction
from ctrader_app.ledger import books, signals
from ctrader_app.models import Position, TradingAccount
from ctrader_app.wire.events import PositionClosed

pytestmark = pytest.mark.django_db

CLOSED_AT = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)


def closure(**changes: object) -> PositionClosed:
    values: dict[str, object] = {
        "event_id": uuid.uuid4(),
        "account_ref": "1000001",
        "broker_login": "1000001",
        "occurred_at": CLOSED_AT,
        "sent_at": None,
        "deal_id": "",
        "reason": None,
        "position_id": "77",
        "symbol": "EURUSD",
        "direction": Direction.BUY,
        "volume_lots": Decimal("0.10"),
        "open_price": Decimal("1.10000"),
        "open_time": CLOSED_AT - timedelta(hours=1),
        "close_time": CLOSED_AT,
        "close_price": Decimal("1.10100"),
        "profit": Decimal("10.00"),
        "commission": Decimal("-0.70"),
        "swap": Decimal("0"),
    }
    return PositionClosed(**(values | changes))  # type: ignore[arg-type]


def open_row(account: TradingAccount, **changes: object) -> Position:
    values: dict[str, object] = {
        "position_id": "77",
        "symbol": "EURUSD",
        "direction": "BUY",
        "volume": Decimal("0.10"),
        "open_price": Decimal("1.10000"),
        "profit": Decimal("9.50"),
        "swap": Decimal("-0.20"),
        "observed_at": CLOSED_AT - timedelta(minutes=1),
        "client_order_id": "cid-1",
    }
    return Position.objects.create(account=account, **(values | changes))


def figures(balance: str) -> AccountFigures:
    return AccountFigures(
        balance=Decimal(balance),
        equity=Decimal("1001.50"),
        margin=Decimal("110"),
        free_margin=Decimal("891.50"),
        margin_level=Decimal("910.45"),
        currency="EUR",
    )


class TestNoteClosed:
    def test_closes_a_known_position(self, account: TradingAccount) -> None:
        open_row(account)
        assert books.note_closed(account, closure())
        row = Position.objects.get()
        assert (row.is_open, row.volume, row.is_settled) == (False, Decimal(0), False)
        assert (row.close_time, row.close_price) == (CLOSED_AT, Decimal("1.10100"))
        assert (row.profit, row.commission, row.client_order_id) == (Decimal(10), Decimal("-0.70"), "cid-1")

    def test_creates_the_row_of_an_unknown_position(self, account: TradingAccount) -> None:
        assert books.note_closed(account, closure())
        row = Position.objects.get()
        assert (row.symbol, row.direction, row.is_open, row.open_price) == ("EURUSD", "BUY", False, Decimal("1.1"))

    def test_a_second_announcement_changes_nothing(self, account: TradingAccount) -> None:
        books.note_closed(account, closure())
        before = Position.objects.values().get()
        assert not books.note_closed(account, closure(profit=Decimal(99)))
        assert Position.objects.values().get() == before

    def test_outranks_every_snapshot_asked_for_before_it_was_booked(self, account: TradingAccount) -> None:
        asked_at = timezone.now()
        books.note_closed(account, closure())
        assert Position.objects.get().observed_at >= asked_at

    def test_tells_the_host_once_after_the_commit(
        self, account: TradingAccount, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        heard: list[Position] = []

        def listen(position: Position, **_kwargs: object) -> None:
            heard.append(position)

        signals.position_closed.connect(listen)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                books.note_closed(account, closure())
                books.note_closed(account, closure())
                assert heard == []
        finally:
            signals.position_closed.disconnect(listen)
        assert [position.position_id for position in heard] == ["77"]


class TestNoteFigures:
    def test_keeps_the_newest(self, account: TradingAccount) -> None:
        assert books.note_figures(account, figures("1000"), CLOSED_AT)
        assert books.note_figures(account, figures("1100"), CLOSED_AT + timedelta(seconds=1))
        assert not books.note_figures(account, figures("1050"), CLOSED_AT)
        account.refresh_from_db()
        assert (account.balance, account.currency) == (Decimal(1100), "EUR")
        assert account.figures_at == CLOSED_AT + timedelta(seconds=1)

    def test_a_statement_from_the_future_does_not_lock_out_the_present(self, account: TradingAccount) -> None:
        assert books.note_figures(account, figures("1000"), timezone.now() + timedelta(days=365))
        assert books.note_figures(account, figures("1001"), timezone.now())
        account.refresh_from_db()
        assert account.balance == Decimal(1001)
