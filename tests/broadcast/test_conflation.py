"""What waits to be sent: nothing newer is ever lost to something older, and no bar's last state is lost at all."""

import json
from collections.abc import Callable, Hashable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ctrader_app.broadcast.conflation import EveryStore, Freshness, Item, LatestStore, Store
from ctrader_app.broadcast.messages import Message


def build(value: int) -> Callable[[], Message]:
    return lambda: {"type": "test", "value": value}


def item(group: str, key: Hashable, value: int) -> Item:
    return Item(group, key, build(value))


def values(store: Store) -> list[tuple[str, Hashable, Any]]:
    return [(each.group, each.key, each.build()["value"]) for each in store.take()]


groups = st.sampled_from(["a", "b", "c"])
keys = st.one_of(st.just("price"), st.tuples(st.just("bar"), st.integers(0, 3)))
steps = st.lists(st.one_of(st.tuples(groups, keys), st.just("take"), st.just("fail")), max_size=60)


@given(steps)
def test_the_last_thing_sent_of_every_key_is_the_newest_put(moves: list[Any]) -> None:
    store = LatestStore(limit=1000)
    newest: dict[tuple[str, Hashable], int] = {}
    sent: dict[tuple[str, Hashable], int] = {}
    for number, move in enumerate(moves):
        if move == "fail":
            batch = store.take()
            store.put(item("a", "price", number))
            newest["a", "price"] = number
            store.restore(batch)
        elif move == "take":
            sent |= {(group, key): value for group, key, value in values(store)}
        else:
            group, key = move
            store.put(item(group, key, number))
            newest[move] = number
    sent |= {(group, key): value for group, key, value in values(store)}
    assert sent == newest
    assert not store.dropped


@given(steps)
def test_every_message_is_sent_in_order_when_asked_to(moves: list[Any]) -> None:
    store = EveryStore(limit=1000)
    put: list[int] = []
    sent: list[int] = []
    for number, move in enumerate(moves):
        if move == "fail":
            store.restore(store.take())
        elif move == "take":
            sent += [value for _, _, value in values(store)]
        else:
            group, key = move
            store.put(item(group, key, number))
            put.append(number)
    sent += [value for _, _, value in values(store)]
    assert sent == put


def test_beyond_the_bound_the_oldest_goes_and_is_counted() -> None:
    for store in (LatestStore(limit=3), EveryStore(limit=3)):
        for number in range(5):
            store.put(item(f"g{number}", "price", number))
        assert [value for _, _, value in values(store)] == [2, 3, 4]
        assert store.dropped == {"price": 2}


def test_what_is_put_back_obeys_the_bound() -> None:
    for store in (LatestStore(limit=3), EveryStore(limit=3)):
        for number in range(3):
            store.put(item(f"g{number}", "price", number))
        batch = store.take()
        store.put(item("new", "price", 9))
        store.restore(batch)
        assert [value for _, _, value in values(store)] == [1, 2, 9]
        assert store.dropped == {"price": 1}


def test_memory_follows_the_groups_and_not_the_rate() -> None:
    store = LatestStore(limit=100)
    for number in range(10_000):
        store.put(item(f"g{number % 50}", "price", number))
    assert len(store) == 50
    assert store.conflated == {"price": 10_000 - 50}


@given(st.lists(st.integers(0, 20), min_size=1))
def test_a_price_never_goes_back(times: list[int]) -> None:
    freshness = Freshness()
    admitted = [at for at in times if freshness.admit("g", at)]
    assert admitted == sorted(admitted)
    assert admitted[-1] == max(times)


@given(st.lists(st.tuples(st.integers(0, Freshness.BARS_KEPT - 1), st.integers(0, 20)), min_size=1))
def test_the_last_state_of_every_bar_gets_through(states: list[tuple[int, int]]) -> None:
    freshness = Freshness()
    shown: dict[int, int] = {}
    for bar, at in states:
        if freshness.admit_bar("g", bar, at):
            assert at >= shown.get(bar, at)
            shown[bar] = at
    assert shown == {bar: max(at for each, at in states if each == bar) for bar, _ in states}


def test_a_bar_long_gone_is_old_news() -> None:
    freshness = Freshness()
    for bar in range(60, 60 * 12, 60):
        assert freshness.admit_bar("g", bar, bar)
    assert not freshness.admit_bar("g", 60, 10_000)
    assert freshness.admit_bar("g", 60 * 11, 10_000)


def test_freshness_is_bounded() -> None:
    freshness = Freshness(limit=10)
    for number in range(1000):
        freshness.admit(f"g{number}", 1.0)
        freshness.admit_bar(f"g{number}", 60, 1.0)
    assert "g0" not in json.dumps([list(freshness._prices), list(freshness._bars)])
    assert len(freshness._prices) == len(freshness._bars) == 10
