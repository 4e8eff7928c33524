"""Profit, commission, margin, conversion: the arithmetic, against figures worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microservice.clock import utc
from microservice.venue.base import Refusal
from microservice.venue.model import Direction, Quote
from microservice.venue.paper.books import Position
from microservice.venue.paper.symbols import SYMBOLS
from microservice.venue.paper.valuation import Valuation
from tests.microservice.paper import ACCOUNT, BUY, SELL, D, Paper


async def test_a_new_account_has_its_opening_balance(paper: Paper) -> None:
    info = await paper.info()
    assert (info.balance, info.equity, info.free_margin) == (D("10000.00"), D("10000.00"), D("10000.00"))
    assert (info.margin, info.margin_level, info.currency, info.leverage) == (D(0), D(0), "USD", 100)


async def test_a_buy_pays_the_spread_and_the_commission(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    opened = await paper.place("EURUSD", BUY, "1")
    assert opened.price == D("1.10008")  # 8 points of spread
    (row,) = await paper.positions()
    assert (row.profit, row.commission, row.swap) == (D("-8.00"), D("-3.00"), D(0))
    info = await paper.info()
    assert info.balance == D("10000.00")
    assert info.equity == D("9989.00")
    assert info.margin == D("1100.08")  # 100,000 x 1.10008 / 100
    assert info.free_margin == info.equity - info.margin
    assert info.margin_level == (info.equity / info.margin * 100).quantize(D("0.01"))


async def test_profit_lands_in_the_balance_with_both_commissions(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    position = await paper.open("EURUSD", BUY, "0.5")
    paper.bid("EURUSD", "1.10108")  # 100 points above the fill
    closed = await paper.shut(position, "0.5")
    assert (closed.close_price, closed.profit, closed.remaining_volume) == (D("1.10108"), D("50.00"), D(0))
    assert (await paper.info()).balance == D("10000.00") + D("50.00") - D("1.50") * 2
    assert await paper.positions() == []


async def test_a_sell_earns_when_the_ask_falls(paper: Paper) -> None:
    paper.bid("XAUUSD", "2400.00")
    position = await paper.open("XAUUSD", SELL, "0.1")
    quote = paper.bid("XAUUSD", "2390.00")
    assert quote.ask == D("2390.20")
    assert (await paper.shut(position, "0.1")).profit == D("98.00")  # (2400.00 - 2390.20) x 100 oz x 0.1


async def test_yen_profit_is_converted_at_the_middle(paper: Paper) -> None:
    paper.bid("USDJPY", "150.000")
    position = await paper.open("USDJPY", BUY, "1")  # at 150.009
    paper.bid("USDJPY", "151.009")
    (row,) = await paper.positions()
    assert row.profit == (D("100000") / D("151.0135")).quantize(D("0.01"))  # 100,000 yen at (bid + ask) / 2
    assert (await paper.info()).margin == D("1000.00")  # the base is the account's own currency
    assert (await paper.shut(position, "1")).profit == row.profit


async def test_a_cross_is_converted_through_the_dollar(paper: Paper) -> None:
    paper.bid("EURGBP", "0.85000")
    paper.bid("GBPUSD", "1.25000")
    await paper.open("EURGBP", SELL, "1")  # at 0.85000, bought back at 0.85010
    (row,) = await paper.positions()
    assert row.profit == (D("-10") * D("1.250055")).quantize(D("0.01"))


async def test_partial_closes_share_costs_to_the_cent(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    position = await paper.open("EURUSD", BUY, "0.07")
    for lots in ("0.02", "0.02", "0.03"):
        await paper.shut(position, lots)
    story = await paper.venue.sync_data(ACCOUNT, position)
    assert [deal.entry for deal in story.deals] == [0, 1, 1, 1]
    net = sum((deal.profit + deal.commission + deal.swap for deal in story.deals), D(0))
    assert (await paper.info()).balance == D("10000.00") + net
    assert story.final_commission == sum((deal.commission for deal in story.deals), D(0)) == D("-0.42")
    (closure,) = paper.heard.closures  # the partial closes announce none
    assert (closure.volume, closure.profit) == (D("0.07"), story.final_profit)


async def test_hedged_positions_both_use_margin(paper: Paper) -> None:
    paper.bid("USDJPY", "150.000")
    first = await paper.open("USDJPY", BUY, "1")
    second = await paper.open("USDJPY", SELL, "1")
    assert first != second
    assert (await paper.info()).margin == D("2000.00")


async def test_an_order_beyond_the_free_margin_is_refused(paper: Paper) -> None:
    paper.bid("USDJPY", "150.000")
    with pytest.raises(Refusal, match="NOT_ENOUGH_MONEY"):
        await paper.open("USDJPY", BUY, "10")  # 10,000.00 of margin, and the commission on top
    await paper.open("USDJPY", BUY, "9.9")
    with pytest.raises(Refusal, match="NOT_ENOUGH_MONEY"):
        await paper.open("USDJPY", BUY, "0.1")


async def test_equity_is_the_balance_and_what_the_rows_say(paper: Paper) -> None:
    for symbol, lots in (("EURUSD", "0.13"), ("USDJPY", "0.07"), ("GER40.cash", "0.5"), ("BTCUSD", "0.01")):
        await paper.open(symbol, BUY, lots)
        await paper.open(symbol, SELL, lots)
    for _ in range(20):
        paper.clock.advance(250)
        paper.venue.step()
        info, rows = await paper.info(), await paper.positions()
        assert info.equity == info.balance + sum((row.profit + row.swap + row.commission for row in rows), D(0))


prices = st.decimals("0.50000", "2.00000", places=5)
lots_of = st.integers(1, 10_000).map(lambda steps: Decimal(steps) / 100)


@given(entry=prices, leave=prices, lots=lots_of)
def test_a_sell_mirrors_a_buy(entry: Decimal, leave: Decimal, lots: Decimal) -> None:
    def flat(symbol: str) -> Quote:
        return Quote(symbol=symbol, bid=leave, ask=leave, time=utc(0))

    def position(direction: Direction) -> Position:
        return Position(
            id=1, account_id="1", symbol="EURUSD", direction=direction, opened_lots=lots, lots=lots, open_price=entry,
            stop_loss=None, take_profit=None, commission=D(0), opened_ms=0, client_order_id=None, label=None,
            comment=None,
        )  # fmt: skip

    valuation = Valuation(flat)
    bought = valuation.profit(position(BUY), leave, lots, "USD")
    sold = valuation.profit(position(SELL), leave, lots, "USD")
    assert bought == -sold
    assert bought == (leave - entry) * lots * 100_000


@pytest.mark.parametrize(("source", "target"), [("JPY", "GBP"), ("GBP", "EUR"), ("USD", "XAU"), ("EUR", "JPY")])
def test_rates_there_and_back_cancel_out(source: str, target: str) -> None:
    def reference(symbol: str) -> Quote:
        price = SYMBOLS[symbol].reference_price
        return Quote(symbol=symbol, bid=price, ask=price, time=utc(0))

    valuation = Valuation(reference)
    assert abs(valuation.rate(source, target) * valuation.rate(target, source) - 1) < D("1e-20")
    with pytest.raises(LookupError):
        valuation.rate(source, "CHF")
