"""Stop-out and overnight swap."""

import pytest

from microservice.venue.paper.calendar import rollovers_between
from tests.microservice.paper import ACCOUNT, BUY, SELL, D, Paper, epoch_s

HOUR_MS = 3_600_000


async def test_stop_out_closes_the_most_losing_first_and_only_as_much_as_needed(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    paper.bid("USDJPY", "150.000")
    loser = await paper.open("EURUSD", BUY, "4")  # 4,400 of margin
    keeper = await paper.open("USDJPY", BUY, "3")  # 3,000 of margin
    # Half of 7,400 is 3,700: the floating loss must come to some 6,300, which is 157 pips on 4 lots.
    paper.bid("EURUSD", "1.08460")
    assert len(await paper.positions()) == 2
    assert (await paper.info()).margin_level > 50
    paper.bid("EURUSD", "1.08400")
    (left,) = await paper.positions()
    assert left.position_id == keeper
    (closure,) = paper.heard.closures
    assert (closure.position_id, closure.reason) == (loser, "so")
    assert (await paper.venue.sync_data(ACCOUNT, loser)).deals[-1].reason == 6
    assert (await paper.info()).margin_level > 50


async def test_stop_out_goes_on_until_nothing_is_left(paper: Paper) -> None:
    paper.bid("EURUSD", "1.10000")
    for _ in range(3):
        await paper.open("EURUSD", BUY, "2.5")
    paper.bid("EURUSD", "1.00000")
    assert await paper.positions() == []
    info = await paper.info()
    assert info.margin == 0
    assert info.balance < 0, "a gap can cost more than there is: the ledger says so"


@pytest.mark.parametrize(
    ("opened", "until", "nights"),
    [
        ("2026-01-12 10:00", "2026-01-12 23:00", 1),  # Monday
        ("2026-01-14 10:00", "2026-01-14 23:00", 3),  # Wednesday
        ("2026-01-16 23:00", "2026-01-18 12:00", 0),  # the weekend was charged on Wednesday
        ("2026-01-12 10:00", "2026-01-19 10:00", 7),  # a week
        ("2026-01-12 22:01", "2026-01-13 21:59", 0),
        ("2026-07-13 10:00", "2026-07-13 21:01", 1),  # in summer the day turns an hour earlier
    ],
)
def test_nights_charged(opened: str, until: str, nights: int) -> None:
    assert sum(count for _, count in rollovers_between(epoch_s(opened), epoch_s(until))) == nights


async def test_swap_is_booked_at_the_rollover(paper: Paper) -> None:
    long = await paper.open("EURUSD", BUY, "1")
    short = await paper.open("EURUSD", SELL, "1")
    paper.clock.advance(11 * HOUR_MS)  # 21:00
    paper.venue.step()
    assert [row.swap for row in await paper.positions()] == [0, 0]
    paper.clock.advance(HOUR_MS)  # 22:00 UTC is 17:00 New York
    paper.venue.step()
    paper.venue.step()
    swaps = {row.position_id: row.swap for row in await paper.positions()}
    assert swaps == {long: D("-7.20"), short: D("2.80")}  # points x 100,000 x 0.00001
    info = await paper.info()
    rows = await paper.positions()
    assert info.equity == info.balance + sum((r.profit + r.swap + r.commission for r in rows), D(0))
    await paper.shut(long, "0.5")
    assert (await paper.positions())[0].swap == D("-3.60")
    await paper.shut(long, "0.5")
    assert (await paper.venue.sync_data(ACCOUNT, long)).final_swap == D("-7.20")


async def test_rollovers_missed_while_down_are_booked_once(paper: Paper) -> None:
    await paper.open("EURUSD", BUY, "1")
    paper.clock.advance(24 * HOUR_MS)  # over Monday's rollover
    for _ in range(2):
        paper.reopen()
        paper.venue.step()
    assert [row.swap for row in await paper.positions()] == [D("-7.20")]
