"""The time of a run follows what changed; the number of statements follows nothing at all."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ctrader_app.ledger import snapshots
from ctrader_app.models import Deal, Order, Position, TradingAccount
from ctrader_app.operations import reading, reconcile
from tests.books.facts import ScriptedVenue, closed_life, order, position

pytestmark = pytest.mark.usefixtures("pushed")


def statements(account: TradingAccount, size: int) -> list[int]:
    """Statements of four runs over ``size`` positions and orders: all new, all changed, none changed, all gone."""
    names = [f"{size}-{number}" for number in range(size)]
    full = ScriptedVenue(*map(position, names), orders=tuple(map(order, names)))
    changed = ScriptedVenue(
        *(position(name, stop_loss=Decimal(1)) for name in names),
        orders=tuple(order(name, price=Decimal(2)) for name in names),
    )
    gone = ScriptedVenue()
    gone.lives = {name: closed_life(name) for name in names}
    counts: list[int] = []
    for venue in (full, changed, changed, gone):
        run = reconcile.request(account, "count")
        with CaptureQueriesContext(connection) as queries:
            reconcile.run(run.pk, venue)
        counts.append(len(queries))
    return counts


def test_as_many_statements_for_a_thousand_positions_as_for_ten(
    account_anywhere: TradingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_SYNCS", 5000)
    ten = statements(account_anywhere, 10)
    assert statements(account_anywhere, 100) == ten
    assert statements(account_anywhere, 1000) == ten
    assert max(ten) < 40
    assert Position.objects.filter(is_open=False, is_settled=True).count() == 1110
    assert Deal.objects.count() == 2220
    assert not Order.objects.exists()


def test_ids_that_do_not_fit_one_statement_take_several_and_the_books_are_the_same(
    account_anywhere: TradingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "IDS_PER_STATEMENT", 3)
    names = [f"p{number}" for number in range(10)]
    open_venue = ScriptedVenue(*map(position, names))
    reconcile.run(reconcile.request(account_anywhere, "open").pk, open_venue)
    Position.objects.update(is_open=False)
    reconcile.run(reconcile.request(account_anywhere, "reopen").pk, open_venue)
    assert Position.objects.filter(is_open=True).count() == Position.objects.count() == 10
    moved = ScriptedVenue(*(position(name, stop_loss=Decimal(1)) for name in names))
    reconcile.run(reconcile.request(account_anywhere, "move").pk, moved)
    assert list(Position.objects.values_list("stop_loss", flat=True).distinct()) == [Decimal(1)]
