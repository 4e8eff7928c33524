"""Bars and prices: consistent with each other, with their ticks, and over a restart."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microservice.venue.model import Candle, Timeframe
from microservice.venue.paper.bars import Bar, BarBook, fold_bars, fold_ticks
from microservice.venue.paper.calendar import bar_open_s, day_open_s
from microservice.venue.paper.history import seeded_history
from microservice.venue.paper.symbols import SYMBOLS
from tests.microservice.paper import ACCOUNT, MONDAY_MS, Paper, epoch_s

TIMEFRAMES = list(Timeframe)


def _walk(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    time_s, points = MONDAY_MS // 1000, 100_000
    ticks = []
    for seconds, change in steps:
        time_s, points = time_s + seconds, max(1, points + change)
        ticks.append((time_s, points))
    return ticks


ticks_lists = st.lists(st.tuples(st.integers(0, 40_000), st.integers(-500, 500)), min_size=1, max_size=150).map(_walk)


async def every(paper: Paper, symbol: str, timeframe: Timeframe) -> list[Candle]:
    return await paper.venue.candles(ACCOUNT, symbol, timeframe, count=None, start_s=None, end_s=None)


@given(ticks_lists)
def test_every_timeframe_is_folded_from_the_same_ticks(ticks: list[tuple[int, int]]) -> None:
    book = BarBook({})
    closed: dict[Timeframe, list[Bar]] = defaultdict(list)
    for time_s, points in ticks:
        for timeframe, bar in book.tick(time_s, points):
            closed[timeframe].append(bar)
    minutes = fold_ticks(Timeframe.M1, ticks)
    for timeframe in TIMEFRAMES:
        live = [*closed[timeframe], book.forming[timeframe]]
        assert live == fold_ticks(timeframe, ticks)
        assert live == fold_bars(timeframe, minutes)
        assert sum(bar.volume for bar in live) == len(ticks)
        for bar in live:
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


@given(ticks_lists, st.data())
def test_a_restart_anywhere_loses_no_saved_tick(ticks: list[tuple[int, int]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(ticks)))
    saved: dict[tuple[Timeframe, int], Bar] = {}

    def save(book: BarBook) -> None:
        for timeframe, bar in book.take_unsaved():
            saved[timeframe, bar.time_s] = Bar(bar.time_s, bar.open, bar.high, bar.low, bar.close, bar.volume)

    before = BarBook({})
    for tick in ticks[:cut]:
        before.tick(*tick)
    save(before)
    last = {tf: max((b for (t, _), b in saved.items() if t is tf), key=lambda b: b.time_s) for tf, _ in saved}
    after = BarBook(last)
    for tick in ticks[cut:]:
        after.tick(*tick)
    save(after)
    for timeframe in TIMEFRAMES:
        bars = [bar for (tf, _), bar in sorted(saved.items(), key=lambda item: item[0][1]) if tf is timeframe]
        assert bars == fold_ticks(timeframe, ticks)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(list(SYMBOLS)), st.integers(1_600_000_000, 1_900_000_000))
def test_history_is_consistent_complete_and_joins_the_price(seed: int, symbol: str, now_s: int) -> None:
    spec = SYMBOLS[symbol]
    anchor_s, anchor = now_s - now_s % 60, spec.points(spec.reference_price)
    history = seeded_history(spec, seed, anchor_s, anchor)
    assert history == seeded_history(spec, seed, anchor_s, anchor)
    for timeframe, bars in history.items():
        least = {Timeframe.M1: 1_000, Timeframe.D1: 60}.get(timeframe, 200)
        assert len(bars) >= least
        assert [bar.time_s for bar in bars] == sorted({bar_open_s(timeframe, bar.time_s) for bar in bars})
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        assert bars[-1].close == history[Timeframe.M1][-1].close
    for shorter, longer in pairwise(TIMEFRAMES):
        _assert_folds(shorter, longer, history)
    assert abs(history[Timeframe.M1][-1].close - anchor) <= anchor * spec.daily_volatility * 0.05


def _assert_folds(shorter: Timeframe, longer: Timeframe, history: dict[Timeframe, list[Bar]]) -> None:
    folded = {bar.time_s: bar for bar in fold_bars(longer, history[shorter])}
    first = min(folded)  # may begin in the middle of a longer bar
    for bar in history[longer]:
        if bar.time_s > first:
            assert bar == folded[bar.time_s]


@pytest.mark.parametrize(
    ("moment", "opened"),
    [
        ("2026-01-12 21:59", "2026-01-11 22:00"),
        ("2026-01-12 22:00", "2026-01-12 22:00"),
        ("2026-07-01 21:00", "2026-07-01 21:00"),
        ("2026-03-08 12:00", "2026-03-07 22:00"),  # the clocks change on Sunday the 8th
        ("2026-03-08 21:00", "2026-03-08 21:00"),
        ("2026-11-01 21:30", "2026-10-31 21:00"),
        ("2026-11-01 22:00", "2026-11-01 22:00"),
    ],
)
def test_the_day_turns_at_five_in_new_york(moment: str, opened: str) -> None:
    assert day_open_s(epoch_s(moment)) == epoch_s(opened)


async def test_live_bars_join_the_history_without_a_gap_or_a_jump(paper: Paper) -> None:
    for _ in range(600):
        paper.clock.advance(1_000)
        paper.venue.step()
    minutes = await every(paper, "EURUSD", Timeframe.M1)
    assert [b.time - a.time for a, b in pairwise(minutes)] == [60] * (len(minutes) - 1)
    jumps = [abs(b.open - a.close) for a, b in pairwise(minutes)]
    assert max(jumps) < minutes[-1].close / 1000
    assert minutes[-1].close == (await paper.venue.price(ACCOUNT, "EURUSD")).bid
    for timeframe in TIMEFRAMES[1:]:
        last = (await every(paper, "EURUSD", timeframe))[-1]
        parts = [bar for bar in minutes if bar.time >= last.time]
        if timeframe is Timeframe.D1:  # reaches back before the first M1 bar kept
            assert last.high >= max(bar.high for bar in parts)
            continue
        assert (last.open, last.close) == (parts[0].open, parts[-1].close)
        assert (last.high, last.low) == (max(b.high for b in parts), min(b.low for b in parts))
        assert last.volume == sum(bar.volume for bar in parts)


async def test_a_restart_changes_no_bar(paper: Paper) -> None:
    for _ in range(300):
        paper.clock.advance(1_000)
        paper.venue.step()
    paper.venue.close()
    before = {timeframe: await every(paper, "XAUUSD", timeframe) for timeframe in TIMEFRAMES}
    paper.reopen()
    for timeframe in TIMEFRAMES:
        after = await every(paper, "XAUUSD", timeframe)
        assert after[:-1] == before[timeframe][:-1]
        assert after[-1].volume == before[timeframe][-1].volume + 1  # the quote of the restart is a tick
        assert (after[-1].open, after[-1].close) == (before[timeframe][-1].open, before[timeframe][-1].close)


async def test_bars_are_the_same_whenever_the_history_is_first_asked_for(tmp_path: Path) -> None:
    """Loading the past must not double or lose what was formed live."""
    early, late = Paper(tmp_path / "early.sqlite3"), Paper(tmp_path / "late.sqlite3")
    for venue in (early, late):
        await venue.venue.connect(ACCOUNT, None)
    await every(early, "EURUSD", Timeframe.M1)
    for _ in range(200):
        for venue in (early, late):
            venue.clock.advance(1_000)
            venue.venue.step()
    for timeframe in TIMEFRAMES:
        assert await every(early, "EURUSD", timeframe) == await every(late, "EURUSD", timeframe)
    early.close()
    late.close()


async def test_a_window_is_cut_by_the_openings(paper: Paper) -> None:
    minutes = await every(paper, "EURUSD", Timeframe.M1)
    start_s, end_s = minutes[100].time, minutes[199].time
    window = await paper.venue.candles(ACCOUNT, "eurusd", Timeframe.M1, count=None, start_s=start_s, end_s=end_s)
    assert window == minutes[100:200]
    newest = await paper.venue.candles(ACCOUNT, "EURUSD", Timeframe.M1, count=7, start_s=None, end_s=None)
    assert newest == minutes[-7:]


async def test_equal_seeds_and_times_give_equal_prices(tmp_path: Path) -> None:
    def prices(name: str, seed: int) -> list[object]:
        venue = Paper(tmp_path / name, seed)
        for _ in range(100):
            venue.clock.advance(250)
            venue.venue.step()
        venue.close()
        return list(venue.heard.quotes)

    assert prices("a", 5) == prices("b", 5)
    assert prices("c", 6) != prices("d", 5)


async def test_a_held_price_stands_still_and_a_moved_one_walks_on(paper: Paper) -> None:
    paper.bid("EURUSD", "1.20000")
    paper.venue.move("GBPUSD", bid=None, move=paper.venue.market.quote("GBPUSD").bid / 10, held=None, closed=None)
    moved = paper.venue.market.quote("GBPUSD").bid
    for _ in range(50):
        paper.clock.advance(1_000)
        paper.venue.step()
    assert str(paper.venue.market.quote("EURUSD").bid) == "1.20000"
    assert paper.venue.market.quote("GBPUSD").bid != moved
    assert abs(paper.venue.market.quote("GBPUSD").bid / moved - 1) < 0.01
