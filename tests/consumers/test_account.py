"""The account socket."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from channels.layers import InMemoryChannelLayer

from ctrader_app.broadcast import account as push
from ctrader_app.broadcast.groups import account_group
from ctrader_app.consumers.sockets.threads import in_database_thread
from ctrader_app.domain.facts import AccountFigures
from ctrader_app.ledger import books, operations
from ctrader_app.models import Operation, Order, Position, ReconciliationRun, TradingAccount
from ctrader_app.tasks.queue import QueueUnavailable
from tests.consumers.conftest import PULSE, Open, lose_pulses
from tests.support.operations import order
from tests.support.waiting import wait_until_async

FIGURES = AccountFigures(Decimal(1000), Decimal(1010), Decimal(0), Decimal(1010), None, "EUR")
AT = datetime(2026, 3, 1, tzinfo=UTC)


def fill_books(account: TradingAccount) -> None:
    books.note_figures(account, FIGURES, AT)
    ReconciliationRun.objects.create(account=account, state="done", cause="test", requested_at=AT, finished_at=AT)
    shared = {"account": account, "symbol": "EURUSD", "direction": "BUY", "volume": Decimal("0.1"), "observed_at": AT}
    Position.objects.create(**shared, position_id="1", open_price=Decimal("1.1"))
    Position.objects.create(**shared, position_id="2", open_price=Decimal("1.1"), is_open=False)
    Order.objects.create(**shared, order_id="3", order_type="LIMIT", price=Decimal("1.0"))


def record(account: TradingAccount, at: datetime) -> Operation:
    operation, _ = operations.open_operation(account, order(), key=None, ttl_s=60.0, now=at, actor="test")
    return operation


async def test_a_new_page_has_what_the_books_know(
    account: TradingAccount, browse: Open, enqueued: list[uuid.UUID]
) -> None:
    await in_database_thread(fill_books, account)
    browser = await browse(f"/ws/accounts/{account.pk}/")
    frames = [await browser.frame() for _ in range(3)]
    assert {frame["type"] for frame in frames} == {"account_update"}
    data = {key: value for frame in frames for key, value in frame["data"].items()}
    assert data["account_info"] == {
        "balance": 1000.0, "equity": 1010.0, "margin": 0.0, "free_margin": 1010.0, "margin_level": None,
        "currency": "EUR",
    }  # fmt: skip
    assert [row["ticket"] for row in data["open_positions"]] == [1]
    assert [row["order_id"] for row in data["pending_orders"]] == [3]
    assert enqueued == []


async def test_what_is_not_known_is_not_said_but_asked_for(
    account: TradingAccount, browse: Open, enqueued: list[uuid.UUID]
) -> None:
    browser = await (await browse(f"/ws/accounts/{account.pk}/")).joined()

    def waiting() -> list[uuid.UUID]:
        return list(ReconciliationRun.objects.filter(state="requested").values_list("pk", flat=True))

    push.operation_update(account.pk, {"id": "a", "state": "queued"})
    assert await browser.frame() == {"type": "operation_update", "data": {"id": "a", "state": "queued"}}
    await wait_until_async(lambda: len(enqueued) == 1)
    assert await in_database_thread(waiting) == enqueued


async def test_changes_are_pushed(account: TradingAccount, browse: Open, enqueued: list[uuid.UUID]) -> None:
    first, second = [await (await browse(f"/ws/accounts/{account.pk}/")).joined() for _ in range(2)]
    push.account_info_update(account.pk, {"balance": 1.0})
    push.open_positions_update(account.pk, [{"ticket": 1}])
    push.pending_orders_update(str(account.pk), [])
    for browser in (first, second):
        assert [(await browser.frame())["data"] for _ in range(3)] == [
            {"account_info": {"balance": 1.0}}, {"open_positions": [{"ticket": 1}]}, {"pending_orders": []},
        ]  # fmt: skip


async def test_somebody_elses_account_says_nothing_here(
    account: TradingAccount, browse: Open, enqueued: list[uuid.UUID], layer: InMemoryChannelLayer
) -> None:
    browser = await (await browse(f"/ws/accounts/{account.pk}/")).joined()
    push.operation_update(uuid.uuid4(), {"id": "foreign"})
    push.operation_update(account.pk, {"id": "mine"})
    assert (await browser.frame())["data"] == {"id": "mine"}
    assert [group for group in layer.groups if not group.startswith(PULSE)] == [account_group(account.pk)]


async def test_what_was_lost_is_told_from_the_books(
    account: TradingAccount, browse: Open, enqueued: list[uuid.UUID], layer: InMemoryChannelLayer
) -> None:
    await in_database_thread(fill_books, account)
    now = datetime.now(UTC)
    await in_database_thread(record, account, now - timedelta(hours=1))
    meanwhile = await in_database_thread(record, account, now)
    browser = await browse(f"/ws/accounts/{account.pk}/")
    assert {(await browser.frame())["type"] for _ in range(3)} == {"account_update"}
    push.operation_update(account.pk, {"id": str(meanwhile.pk), "state": "before"})
    assert (await browser.frame())["data"]["state"] == "before"
    await in_database_thread(lambda: Position.objects.update(is_open=False))
    await lose_pulses(layer)
    frames = [await browser.frame() for _ in range(4)]
    assert [frame["data"]["id"] for frame in frames if frame["type"] == "operation_update"] == [str(meanwhile.pk)]
    assert {"open_positions": []} in [frame["data"] for frame in frames]
    push.open_positions_update(account.pk, [{"ticket": 4}])
    assert (await browser.frame())["data"] == {"open_positions": [{"ticket": 4}]}


async def test_it_takes_no_messages(account: TradingAccount, browse: Open, enqueued: list[uuid.UUID]) -> None:
    browser = await (await browse(f"/ws/accounts/{account.pk}/")).joined()
    await browser.say({"type": "subscribe", "timeframe": "M1"})
    assert (await browser.frame())["code"] == "UNKNOWN_TYPE"


async def test_a_task_queue_that_is_away_hinders_nobody(
    account: TradingAccount, browse: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_run_id: uuid.UUID) -> None:
        raise QueueUnavailable("away")

    monkeypatch.setattr("ctrader_app.consumers.sockets.account.enqueue_sync", refuse)
    browser = await (await browse(f"/ws/accounts/{account.pk}/")).joined()
    push.operation_update(account.pk, {"id": "a"})
    assert (await browser.frame())["data"] == {"id": "a"}
