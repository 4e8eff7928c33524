"""Orders: what is refused, what fills, what waits, what fires."""

from collections.abc import Awaitable, Callable

import pytest

from microservice.venue.base import Refusal, RefusalKind
from microservice.venue.model import ClosePosition, Direction, OrderType, TimeInForce
from microservice.venue.paper import commands
from tests.microservice.paper import ACCOUNT, BUY, SELL, D, Paper

LIMIT, STOP = OrderType.LIMIT, OrderType.STOP


async def refused(work: Awaitable[object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


@pytest.mark.parametrize(
    "lots", ["0", "-0.1", "0.001", "0.015", "0.30000000000000004", "100.01", "1e30", "1e-30", "NaN", "Infinity"]
)
async def test_a_volume_that_does_not_fit_is_refused_never_clamped(paper: Paper, lots: str) -> None:
    assert (await refused(paper.place("EURUSD", BUY, lots))).code == "TRADING_BAD_VOLUME"
    assert await paper.positions() == []
    assert paper.venue.effects(client_order_id=None, account_id=ACCOUNT, position_id=None).orders == 0


async def test_an_unknown_symbol_is_not_found_and_a_known_one_needs_no_case(paper: Paper) -> None:
    refusal = await refused(paper.place("NOPE", BUY, "1"))
    assert (refusal.code, refusal.kind) == ("UNKNOWN_SYMBOL", RefusalKind.NOT_FOUND)
    assert (await paper.place("us500.CASH", BUY, "1")).symbol == "US500.cash"


@pytest.mark.parametrize(
    ("direction", "levels"),
    [
        (BUY, {"stop_loss": D("1.10000")}),  # at the bid: would fire at once
        (BUY, {"take_profit": D("1.09999")}),
        (SELL, {"stop_loss": D("1.10008")}),  # at the ask
        (SELL, {"take_profit": D("1.20000")}),
        (BUY, {"stop_loss": D("1.095555")}),  # more digits than the symbol has
        (BUY, {"stop_loss": D("-1")}),
        (BUY, {"stop_loss": D("NaN")}),
        (BUY, {"sl_distance": D("0.00008")}),  # no further than the spread
        (BUY, {"sl_distance": D("5")}),  # below zero
        (BUY, {"sl_distance": D("0.01"), "stop_loss": D("1.0")}),
    ],
)
async def test_protection_on_the_wrong_side_is_refused(
    paper: Paper, direction: Direction, levels: dict[str, object]
) -> None:
    paper.bid("EURUSD", "1.10000")
    refusal = await refused(paper.place("EURUSD", direction, "0.1", **levels))
    assert refusal.code == "TRADING_BAD_STOPS"
    assert await paper.positions() == []


async def test_binary_noise_in_a_level_is_forgiven(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    opened = await paper.place("EURUSD", BUY, "0.1", stop_loss=D("1.0980000000000003"))
    assert opened.stop_loss == D("1.09800")


async def test_distances_count_from_the_fill(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    bought = await paper.place("EURUSD", BUY, "0.1", sl_distance=D("0.005"), tp_distance=D("0.01"))
    assert (bought.price, bought.stop_loss, bought.take_profit) == (D("1.10008"), D("1.09508"), D("1.11008"))
    sold = await paper.place("EURUSD", SELL, "0.1", sl_distance=D("0.005"), tp_distance=D("0.01"))
    assert (sold.price, sold.stop_loss, sold.take_profit) == (D("1.10000"), D("1.10500"), D("1.09000"))


@pytest.mark.parametrize(
    ("direction", "levels", "before", "bid", "reason", "price"),
    [
        (BUY, ("1.09000", None), "1.09001", "1.09000", "sl", "1.09000"),  # on the bid
        (BUY, ("1.09000", None), "1.09001", "1.08000", "sl", "1.08000"),  # a gap fills where the market is
        (BUY, (None, "1.11000"), "1.10999", "1.11000", "tp", "1.11000"),
        (SELL, ("1.11000", None), "1.10991", "1.10992", "sl", "1.11000"),  # on the ask: 8 points above the bid
        (SELL, (None, "1.09000"), "1.08993", "1.08992", "tp", "1.09000"),
    ],
)
async def test_protection_fires_on_the_side_that_closes(
    paper: Paper,
    direction: Direction,
    levels: tuple[str | None, str | None],
    before: str,
    bid: str,
    reason: str,
    price: str,
) -> None:
    paper.bid("EURUSD", "1.10000")
    position = await paper.open("EURUSD", direction, "0.1")
    await paper.protect(position, *levels)
    paper.bid("EURUSD", before)
    assert len(await paper.positions()) == 1, "one point before the level nothing happens"
    paper.bid("EURUSD", bid)
    assert await paper.positions() == []
    (closure,) = paper.heard.closures
    assert (closure.reason, closure.close_price, closure.position_id) == (reason, D(price), position)
    story = await paper.venue.sync_data(ACCOUNT, position)
    assert story.deals[-1].reason == {"sl": 4, "tp": 5}[reason]
    assert story.is_closed_on_platform
    assert story.platform_remaining_size == 0


@pytest.mark.parametrize(
    ("direction", "order_type", "price", "before", "touch", "fill"),
    [
        (BUY, LIMIT, "1.09508", "1.09501", "1.09500", "1.09508"),
        (SELL, LIMIT, "1.10500", "1.10499", "1.10500", "1.10500"),
        (BUY, STOP, "1.10508", "1.10499", "1.10500", "1.10508"),
        (SELL, STOP, "1.09500", "1.09501", "1.09500", "1.09500"),
    ],
)
async def test_a_waiting_order_fills_on_touch(
    paper: Paper, direction: Direction, order_type: OrderType, price: str, before: str, touch: str, fill: str
) -> None:
    paper.bid("EURUSD", "1.10000")
    name = "limit_price" if order_type is LIMIT else "stop_price"
    placed = await paper.place(
        "EURUSD", direction, "0.1", order_type=order_type, client_order_id="mine", **{name: D(price)}
    )
    assert (placed.status, placed.position_id) == ("pending", None)
    (row,) = (await paper.venue.snapshot(ACCOUNT)).pending_orders
    assert (row.order_id, row.price, row.client_order_id) == (placed.order_id, D(price), "mine")
    paper.bid("EURUSD", before)
    assert await paper.positions() == []
    paper.bid("EURUSD", touch)
    (position,) = await paper.positions()
    assert (position.open_price, position.client_order_id) == (D(fill), "mine")
    assert (await paper.venue.snapshot(ACCOUNT)).pending_orders == []
    (record,) = await paper.venue.orders(ACCOUNT, "mine", None, 10)
    assert (record.status, record.position_id, record.price) == ("filled", position.position_id, D(fill))


async def test_a_marketable_limit_fills_at_once_and_a_passed_stop_is_refused(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    filled = await paper.place("EURUSD", BUY, "0.1", order_type=LIMIT, limit_price=D("1.20000"))
    assert (filled.status, filled.price) == ("filled", D("1.10008"))
    refusal = await refused(paper.place("EURUSD", BUY, "0.1", order_type=STOP, stop_price=D("1.05000")))
    assert refusal.code == "TRADING_BAD_PRICES"
    refusal = await refused(paper.place("EURUSD", BUY, "0.1", order_type=STOP))
    assert refusal.code == "TRADING_BAD_PRICES"


async def test_a_pending_fill_without_money_is_rejected(paper: Paper) -> None:
    paper.bid("USDJPY", "150.000")
    waiting = await paper.place("USDJPY", BUY, "5", order_type=LIMIT, limit_price=D("149.000"))
    await paper.open("USDJPY", BUY, "6")
    paper.bid("USDJPY", "148.900")
    assert len(await paper.positions()) == 1
    (record,) = await paper.venue.orders(ACCOUNT, None, waiting.order_id, 10)
    assert record.status == "rejected"


async def test_time_in_force(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    far = {"order_type": LIMIT, "limit_price": D("1.00000")}
    at_once = await paper.place("EURUSD", BUY, "0.1", time_in_force=TimeInForce.FOK, **far)
    assert at_once.status == "rejected"
    assert at_once.error is not None
    until = paper.clock.now_ms() + 60_000
    refusal = await refused(paper.place("EURUSD", BUY, "0.1", time_in_force=TimeInForce.GTD, **far))
    assert refusal.code == "TRADING_BAD_EXPIRATION_DATE"
    waiting = await paper.place("EURUSD", BUY, "0.1", time_in_force=TimeInForce.GTD, good_till_ms=until, **far)
    paper.clock.advance(59_999)
    paper.venue.step()
    assert len((await paper.venue.snapshot(ACCOUNT)).pending_orders) == 1
    paper.clock.advance(1)
    paper.venue.step()
    assert (await paper.venue.snapshot(ACCOUNT)).pending_orders == []
    assert (await paper.cancel(waiting.order_id)).status == "cancelled"  # gone already: what was wanted


async def test_cancel(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    waiting = await paper.place("EURUSD", BUY, "0.1", order_type=LIMIT, limit_price=D("1.05000"))
    filled = await paper.place("EURUSD", BUY, "0.1", order_type=LIMIT, limit_price=D("1.09000"))
    assert (await paper.cancel(waiting.order_id)).status == "cancelled"
    paper.bid("EURUSD", "1.08000")
    assert (await paper.cancel(filled.order_id)).status == "filled"
    assert len(await paper.positions()) == 1, "the filled order became a position; the cancelled one did not"
    for unknown in ("999", "abc", "9" * 40, waiting.order_id + "0"):
        assert (await refused(paper.cancel(unknown))).code == "ORDER_NOT_FOUND"


@pytest.mark.parametrize("lots", ["0.31", "0.305", "0", "-0.1", "NaN"])
async def test_closing_what_is_not_there_is_refused(paper: Paper, lots: str) -> None:
    position = await paper.open("EURUSD", BUY, "0.3")
    assert (await refused(paper.shut(position, lots))).code == "TRADING_BAD_VOLUME"
    assert (await paper.positions())[0].volume == D("0.3")


async def test_a_closed_or_foreign_position_is_not_found(paper: Paper) -> None:
    position = await paper.open("EURUSD", BUY, "0.1")
    await paper.venue.connect("other", None)
    foreign = ClosePosition(account_id="other", position_id=position, volume=D("0.1"))
    assert (await refused(paper.execute(foreign))).code == "POSITION_NOT_FOUND"
    await paper.shut(position, "0.1")
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: paper.shut(position, "0.1"),
        lambda: paper.protect(position, "1.0", None),
        lambda: paper.shut("٣", "0.1"),  # a digit, but none of ours
    ]
    for attempt in attempts:
        assert (await refused(attempt())).kind is RefusalKind.NOT_FOUND


async def test_modify_sets_both_and_null_removes(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    position = await paper.open("EURUSD", BUY, "0.1", stop_loss=D("1.05"), take_profit=D("1.15"))
    answer = await paper.protect(position, "1.06", None)
    assert (answer.stop_loss, answer.take_profit) == (D("1.06"), None)
    paper.bid("EURUSD", "1.20000")
    assert len(await paper.positions()) == 1, "the removed take-profit must not fire"
    assert (await refused(paper.protect(position, "1.30", None))).code == "TRADING_BAD_STOPS"
    assert (await paper.positions())[0].stop_loss == D("1.06")


async def test_a_symbol_that_is_not_the_positions_is_refused(paper: Paper) -> None:
    position = await paper.open("EURUSD", BUY, "0.1")
    wrong = ClosePosition(account_id=ACCOUNT, position_id=position, volume=D("0.1"), symbol="GBPUSD")
    assert (await refused(paper.execute(wrong))).code == "SYMBOL_MISMATCH"


async def test_a_late_order_is_not_executed(paper: Paper) -> None:
    now = paper.clock.now_ms()
    assert (await refused(paper.place("EURUSD", BUY, "0.1", expires_at_ms=now - 1))).code == "ORDER_EXPIRED"
    assert (await paper.place("EURUSD", BUY, "0.1", expires_at_ms=now)).status == "filled"


async def test_a_closed_market_takes_no_market_orders(paper: Paper) -> None:
    position = await paper.open("EURUSD", BUY, "0.1")
    paper.venue.move("EURUSD", bid=None, move=None, held=None, closed=True)
    assert (await refused(paper.place("EURUSD", BUY, "0.1"))).code == "MARKET_CLOSED"
    assert (await refused(paper.shut(position, "0.1"))).code == "MARKET_CLOSED"


async def test_an_account_holds_so_many_rows(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_ROWS", 2)
    await paper.open("EURUSD", BUY, "0.1")
    await paper.place("EURUSD", BUY, "0.1", order_type=LIMIT, limit_price=D("1.0"))
    assert (await refused(paper.open("EURUSD", BUY, "0.1"))).code == "TOO_MANY_POSITIONS"


async def test_two_sends_are_two_orders(paper: Paper) -> None:
    for _ in range(2):
        await paper.place("EURUSD", BUY, "0.1", client_order_id="same")
    effects = paper.venue.effects(client_order_id="same", account_id=None, position_id=None)
    assert (effects.orders, effects.opens, effects.positions) == (2, 2, 2)
