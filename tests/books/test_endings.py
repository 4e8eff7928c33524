"""How a position ended, out of what the venue tells of its life."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from ctrader_app.domain.endings import deal_time, ending_of, tickets_of, with_closing_deal
from ctrader_app.domain.facts import Direction
from tests.books.facts import closed_life, deal, open_life, position

ACCOUNT = uuid.UUID("00000000-0000-4000-8000-000000000001")
CLOSED_AT = datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC)


def test_the_venues_own_totals_count() -> None:
    ending = ending_of(closed_life(final_profit=Decimal("-49.99")))
    assert (ending.close_time, ending.close_price) == (CLOSED_AT, Decimal("1.09500"))
    assert (ending.profit, ending.commission, ending.swap) == (Decimal("-49.99"), Decimal("-0.70"), Decimal("-0.10"))


def test_totals_that_are_not_stated_are_summed_from_the_deals() -> None:
    ending = ending_of(closed_life(final_profit=None, final_commission=None, final_swap=None))
    assert (ending.profit, ending.commission, ending.swap) == (Decimal("-50.00"), Decimal("-0.70"), Decimal("-0.10"))


def test_without_deals_only_what_is_stated_is_known() -> None:
    ending = ending_of(closed_life(deals=(), latest_deal_time_s=None, last_deal_price=None, final_profit=None))
    assert (ending.close_time, ending.close_price, ending.profit) == (None, None, None)


class TestClosingDeal:
    def test_is_the_venues_own_where_it_has_one(self) -> None:
        life = closed_life()
        assert with_closing_deal(position(), life) == life.deals
        assert with_closing_deal(position(), open_life()) == open_life().deals

    def test_is_the_rest_to_the_final_figures(self) -> None:
        entry = deal("1-in", volume_lots=Decimal("0.30"))
        deals = with_closing_deal(position(volume_lots=Decimal(0)), closed_life(deals=(entry,)))
        made = deals[-1]
        assert deals[0] == entry
        assert (made.ticket, made.is_entry, made.direction) == ("", False, Direction.SELL)
        assert (made.volume_lots, made.price) == (Decimal("0.30"), Decimal("1.09500"))
        assert (made.profit, made.commission, made.swap) == (Decimal("-50.00"), Decimal("-0.35"), Decimal("-0.10"))
        assert deal_time(made) == datetime(2026, 1, 5, 10, tzinfo=UTC)

    def test_is_not_made_up_of_nothing(self) -> None:
        life = closed_life(deals=())
        assert len(with_closing_deal(position(), life)) == 1
        assert with_closing_deal(position(), replace(life, latest_deal_time_s=None)) == ()
        assert with_closing_deal(position(), replace(life, last_deal_price=None)) == ()
        assert with_closing_deal(position(), replace(life, final_profit=None)) == ()
        assert with_closing_deal(position(volume_lots=Decimal(0)), closed_life(deals=())) == ()


class TestTickets:
    def test_the_venues_own_are_kept(self) -> None:
        assert tickets_of(ACCOUNT, [deal("55")]) == [("55", False)]

    def test_invented_ones_are_the_same_each_time_and_told_apart(self) -> None:
        early, late = deal(""), replace(deal(""), time_ms=1_767_603_600_001)
        first = dict(zip(("early", "late"), tickets_of(ACCOUNT, [early, late]), strict=True))
        second = dict(zip(("late", "early"), tickets_of(ACCOUNT, [late, early]), strict=True))
        assert first == second
        assert first["early"] != first["late"]
        assert first["early"][1] is True

    def test_equal_deals_are_two_deals(self) -> None:
        one, other = tickets_of(ACCOUNT, [deal(""), deal("")])
        assert one != other

    def test_exact_numbers_however_written_give_one_ticket(self) -> None:
        assert tickets_of(ACCOUNT, [deal("")]) == tickets_of(ACCOUNT, [deal("", volume_lots=Decimal("0.1"))])

    def test_accounts_do_not_share_tickets(self) -> None:
        assert tickets_of(ACCOUNT, [deal("")]) != tickets_of(uuid.uuid4(), [deal("")])
