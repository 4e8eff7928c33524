"""A reconciliation against a scripted venue: what reaches the books, and what must not."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.errors import AuthenticationError, ConnectionError, RequestRefusedError  # noqa: A004 - its name
from ctrader_app.domain.facts import Direction, OpenBook, SyncFact
from ctrader_app.ledger import books, reconciliations, signals
from ctrader_app.models import Deal, Order, Position, ReconciliationRun, TradingAccount
from ctrader_app.operations import reading, reconcile
from ctrader_app.operations.reconcile import Busy, Done, Failed, Verdict
from ctrader_app.wire.events import PositionClosed
from tests.books.facts import OPENED_AT, ScriptedVenue, closed_life, deal, figures, order, position

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pushed")]

State = ReconciliationRun.State
OUTAGE = ConnectionError("the service did not answer in time")
UNKNOWN_POSITION = RequestRefusedError("no such position", code="UNKNOWN_POSITION")


def reconciled(account: TradingAccount, venue: ScriptedVenue) -> Verdict:
    return reconcile.run(reconcile.request(account, "test").pk, venue)


def row(position_id: str = "1") -> Position:
    return Position.objects.get(position_id=position_id)


def announced(position_id: str = "1") -> PositionClosed:
    return PositionClosed(
        event_id=uuid.uuid4(),
        account_ref="1000001",
        broker_login="",
        occurred_at=OPENED_AT + timedelta(hours=1),
        sent_at=None,
        position_id=position_id,
        symbol="EURUSD",
        direction=Direction.BUY,
        volume_lots=Decimal("0.10"),
        open_time=OPENED_AT,
        open_price=Decimal("1.1"),
        close_time=OPENED_AT + timedelta(hours=1),
        close_price=Decimal("1.095"),
        profit=Decimal("-49"),
        commission=Decimal("-0.7"),
        swap=Decimal("-0.1"),
        deal_id="",
        reason=None,
    )


class TestApplying:
    def test_the_books_come_to_say_what_the_venue_says(
        self, account: TradingAccount, heard: list[tuple[str, str]]
    ) -> None:
        venue = ScriptedVenue(position("1", stop_loss=Decimal("1.09")), position("2"), orders=(order("o1"),))
        assert reconciled(account, venue) == Done()
        assert (row("1").stop_loss, row("1").client_order_id, row("1").is_open) == (Decimal("1.09"), "cid-1", True)
        assert Order.objects.get().price == Decimal("1.2")
        account.refresh_from_db()
        assert account.balance == Decimal(1000)
        run = ReconciliationRun.objects.get()
        assert (run.state, run.opened, run.changed, run.closed, run.error) == (State.DONE, 2, 0, 0, "")
        assert sorted(heard) == [("position_opened", "1"), ("position_opened", "2")]
        assert venue.accounts == {"1000001"}

    def test_rows_that_did_not_change_are_not_written(
        self, account: TradingAccount, heard: list[tuple[str, str]]
    ) -> None:
        venue = ScriptedVenue(position("1"), position("2"), orders=(order("o1"),))
        reconciled(account, venue)
        before = list(Position.objects.order_by("pk").values())
        heard.clear()
        with CaptureQueriesContext(connection) as queries:
            reconciled(account, venue)
        writes = [query["sql"] for query in queries if query["sql"].lstrip().startswith(("INSERT", "DELETE"))]
        assert [sql for sql in writes if "reconciliationrun" not in sql] == []
        assert list(Position.objects.order_by("pk").values()) == before
        assert heard == []

    def test_a_change_is_told_and_running_figures_are_kept_quietly(
        self, account: TradingAccount, heard: list[tuple[str, str]]
    ) -> None:
        reconciled(account, ScriptedVenue(position("1"), position("2")))
        heard.clear()
        reconciled(
            account,
            ScriptedVenue(position("1", profit=Decimal("6.50")), position("2", volume_lots=Decimal("0.04"))),
        )
        assert (row("1").profit, row("2").volume) == (Decimal("6.50"), Decimal("0.04"))
        assert heard == [("position_changed", "2")]

    def test_orders_go_with_the_list_and_stay_without_one(self, account: TradingAccount) -> None:
        reconciled(account, ScriptedVenue(orders=(order("o1"), order("o2"))))
        reconciled(account, ScriptedVenue(orders=None))
        assert Order.objects.count() == 2
        reconciled(account, ScriptedVenue(orders=(order("o2", price=Decimal("1.3")),)))
        assert [(o.order_id, o.price) for o in Order.objects.all()] == [("o2", Decimal("1.3"))]
        reconciled(account, ScriptedVenue(orders=()))
        assert not Order.objects.exists()

    def test_other_accounts_are_left_alone(self, account: TradingAccount) -> None:
        other = TradingAccount.objects.create(user=account.user, broker_login="1000002")
        reconciled(other, ScriptedVenue(position("1"), orders=(order("o1"),)))
        reconciled(account, ScriptedVenue())
        assert Position.objects.get().account == other
        assert Order.objects.get().account == other

    def test_a_receiver_that_raises_hinders_nobody(
        self, account: TradingAccount, heard: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(**_kwargs: object) -> None:
            raise ValueError("the host's own trouble")

        signals.position_opened.connect(fail)
        try:
            assert reconciled(account, ScriptedVenue(position("1"))) == Done()
        finally:
            signals.position_opened.disconnect(fail)
        assert heard == [("position_opened", "1")]
        assert "the host's own trouble" in caplog.text


class TestClosing:
    def test_a_vanished_position_is_closed_with_the_venues_own_figures(
        self, account: TradingAccount, heard: list[tuple[str, str]]
    ) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        heard.clear()
        venue = ScriptedVenue()
        venue.lives["1"] = closed_life()
        assert reconciled(account, venue) == Done()
        closed = row()
        assert (closed.is_open, closed.is_settled, closed.volume) == (False, True, Decimal(0))
        assert (closed.close_price, closed.profit) == (Decimal("1.095"), Decimal("-50"))
        assert closed.close_time is not None
        assert closed.close_time.isoformat() == "2026-01-05T10:00:00.250000+00:00"
        assert heard == [("position_closed", "1")]
        assert set(Deal.objects.values_list("ticket", "is_entry", "reason", "is_invented")) == {
            ("1-in", True, "expert", False),
            ("1-out", False, "sl", False),
        }
        assert ReconciliationRun.objects.latest("requested_at").closed == 1
        assert venue.lives_read == [("1", "EURUSD")]

    def test_an_announced_closure_gets_its_deals_and_is_read_once(self, account: TradingAccount) -> None:
        books.note_closed(account, announced())
        venue = ScriptedVenue()
        venue.lives["1"] = closed_life()
        assert reconciled(account, venue) == Done()
        assert (row().profit, row().is_settled) == (Decimal("-50"), True)
        assert Deal.objects.count() == 2
        reconciled(account, venue)
        assert len(venue.lives_read) == 1

    def test_without_an_answer_it_stays_open_until_there_is_one(self, account: TradingAccount) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        venue = ScriptedVenue()
        venue.lives["1"] = OUTAGE
        verdict = reconciled(account, venue)
        assert isinstance(verdict, Done)
        assert verdict.next_run is not None
        assert verdict.next_in_s > 0
        assert (row().is_open, row().close_price) == (True, None)
        run = ReconciliationRun.objects.get(state=State.DONE, error__contains="position 1")
        assert "did not answer" in run.error
        venue.lives["1"] = closed_life()
        assert reconcile.run(verdict.next_run, venue) == Done()
        assert row().is_open is False

    def test_a_position_that_the_venue_says_is_open_is_kept_however_often_it_is_not_listed(
        self, account: TradingAccount
    ) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        venue = ScriptedVenue()
        verdict = reconciled(account, venue)
        for _ in range(reading.PATIENCE_ATTEMPTS + 1):
            assert isinstance(verdict, Done)
            assert verdict.next_run is not None
            verdict = reconcile.run(verdict.next_run, venue)
        assert row().is_open is True

    def test_one_that_the_venue_has_forgotten_does_not_stay_for_ever(
        self, account: TradingAccount, heard: list[tuple[str, str]]
    ) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        venue = ScriptedVenue()
        venue.lives["1"] = UNKNOWN_POSITION
        assert reconciled(account, venue) == Done()
        closed = row()
        assert (closed.is_open, closed.is_settled) == (False, True)
        assert (closed.close_price, closed.close_time) == (None, None)
        assert not Deal.objects.filter(is_entry=False).exists()
        assert heard[-1] == ("position_closed", "1")
        assert venue.books_read == 2

    def test_one_look_at_the_book_is_not_enough_to_forget_a_position(self, account: TradingAccount) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        venue = ScriptedVenue()
        venue.lives["1"] = UNKNOWN_POSITION

        def list_it_again() -> None:
            venue.book = OpenBook((position("1"),), ())

        venue.on_book = list_it_again
        reconciled(account, venue)
        assert row().is_open is True

    def test_nor_is_one_that_the_venue_can_never_tell_about(self, account: TradingAccount) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        venue = ScriptedVenue()
        venue.lives["1"] = OUTAGE
        verdict = reconciled(account, venue)
        for attempt in range(2, reading.PATIENCE_ATTEMPTS + 1):
            assert row().is_open is True, f"closed before attempt {attempt}"
            assert isinstance(verdict, Done)
            assert verdict.next_run is not None
            verdict = reconcile.run(verdict.next_run, venue)
        assert (row().is_open, row().is_settled, row().close_price) == (False, False, None)
        venue.lives["1"] = closed_life()
        reconciled(account, venue)
        assert (row().is_settled, row().close_price) == (True, Decimal("1.095"))

    def test_a_book_that_lists_it_again_opens_it_again(
        self, account: TradingAccount, heard: list[tuple[str, str]]
    ) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        venue = ScriptedVenue()
        venue.lives["1"] = UNKNOWN_POSITION
        reconciled(account, venue)
        reconciled(account, ScriptedVenue(position("1")))
        assert (row().is_open, row().volume, row().close_time) == (True, Decimal("0.10"), None)
        assert heard[-1] == ("position_changed", "1")

    def test_more_closures_than_one_run_reads_are_left_to_the_next(
        self, account: TradingAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "MAX_SYNCS", 2)
        names = [str(number) for number in range(5)]
        reconciled(account, ScriptedVenue(*map(position, names)))
        venue = ScriptedVenue()
        venue.lives = {name: closed_life(name) for name in names}
        verdict: Verdict = reconciled(account, venue)
        still_open = [3, 1, 0]
        for expected in still_open:
            assert Position.objects.filter(is_open=True).count() == expected
            assert isinstance(verdict, Done)
            if verdict.next_run is not None:
                assert verdict.next_in_s == 0
                verdict = reconcile.run(verdict.next_run, venue)
        assert verdict == Done()


class TestDeals:
    def test_are_kept_once_per_ticket_and_never_changed(self, account: TradingAccount) -> None:
        venue = ScriptedVenue(position("1"))
        venue.lives["1"] = SyncFact((deal("1-in"),), False, Decimal("0.1"), None, None, None, None, None)
        reconciled(account, venue)
        assert Deal.objects.get().price == Decimal("1.1")
        closing = ScriptedVenue()
        closing.lives["1"] = closed_life(deals=(deal("1-in", price=Decimal(9)), *closed_life().deals[1:]))
        reconciled(account, closing)
        assert Deal.objects.get(ticket="1-in").price == Decimal("1.1")
        assert Deal.objects.count() == 2

    def test_without_tickets_are_kept_once_too(self, account: TradingAccount) -> None:
        venue = ScriptedVenue(position("1"))
        venue.lives["1"] = SyncFact((deal(""),), False, Decimal("0.1"), None, None, None, None, None)
        reconciled(account, venue)
        venue.book = OpenBook((position("1", volume_lots=Decimal("0.05")),), ())
        reconciled(account, venue)
        assert len(venue.lives_read) == 2
        kept = Deal.objects.get()
        assert kept.is_invented
        assert uuid.UUID(kept.ticket).version == 5

    def test_those_of_open_positions_are_no_reason_to_fail_or_to_ask_again(self, account: TradingAccount) -> None:
        venue = ScriptedVenue(position("1"))
        venue.lives["1"] = OUTAGE
        assert reconciled(account, venue) == Done()
        assert row().is_open


class TestFailedReads:
    @pytest.mark.parametrize("error", [OUTAGE, AuthenticationError("renew the token"), RuntimeError("a bug")])
    def test_change_nothing_and_are_tried_again(self, account: TradingAccount, error: Exception) -> None:
        reconciled(account, ScriptedVenue(position("1"), orders=(order("o1"),)))
        before = list(Position.objects.values()), list(Order.objects.values())
        venue = ScriptedVenue()
        venue.book = error
        verdict = reconciled(account, venue)
        assert (list(Position.objects.values()), list(Order.objects.values())) == before
        assert isinstance(verdict, Failed)
        assert str(error.args[0]) in verdict.error
        failed = ReconciliationRun.objects.get(state=State.FAILED)
        assert failed.error == verdict.error
        waiting = ReconciliationRun.objects.get(state=State.REQUESTED)
        assert waiting.pk == verdict.next_run
        assert waiting.attempts == 1

    def test_wait_ever_longer_but_never_for_long(self, account: TradingAccount) -> None:
        venue = ScriptedVenue()
        venue.book = OUTAGE
        verdict = reconciled(account, venue)
        waits: list[float] = []
        for _ in range(12):
            assert isinstance(verdict, Failed)
            waits.append(verdict.retry_in_s)
            verdict = reconcile.run(verdict.next_run, venue)
        assert 0.5 <= waits[0] <= 1.0
        assert waits[4] >= 8.0
        assert max(waits) <= reconcile.LAST_RETRY_S
        venue.book = OpenBook((), ())
        assert isinstance(verdict, Failed)
        assert reconcile.run(verdict.next_run, venue) == Done()

    def test_figures_that_cannot_be_read_do_not_hold_up_the_book(self, account: TradingAccount) -> None:
        venue = ScriptedVenue(position("1"))
        venue.figures = OUTAGE
        verdict = reconciled(account, venue)
        assert row().is_open
        account.refresh_from_db()
        assert account.balance is None
        assert isinstance(verdict, Done)
        assert verdict.next_run is not None


class TestRivals:
    """Each rival runs at a chosen point: between the venue's answer and its use."""

    def test_a_closure_booked_meanwhile_is_not_undone(self, account: TradingAccount) -> None:
        reconciled(account, ScriptedVenue(position("1")))
        venue = ScriptedVenue(position("1", profit=Decimal(7)))
        venue.on_book = lambda: books.note_closed(account, announced())
        venue.lives["1"] = OUTAGE
        reconciled(account, venue)
        assert (row().is_open, row().profit) == (False, Decimal(-49))

    def test_figures_noted_meanwhile_are_not_overwritten(self, account: TradingAccount) -> None:
        venue = ScriptedVenue()
        venue.on_book = lambda: books.note_figures(account, figures("2000"), timezone.now())
        reconciled(account, venue)
        account.refresh_from_db()
        assert account.balance == Decimal(2000)

    def test_a_trigger_that_comes_meanwhile_is_named_by_the_verdict(self, account: TradingAccount) -> None:
        venue = ScriptedVenue()
        venue.on_book = lambda: reconcile.request(account, "meanwhile")
        verdict = reconciled(account, venue)
        assert verdict == Done(ReconciliationRun.objects.get(cause="meanwhile").pk)

    def test_a_second_worker_finds_the_account_busy(self, account: TradingAccount) -> None:
        verdicts: list[Verdict] = []
        venue = ScriptedVenue()

        def rival() -> None:
            venue.on_book = lambda: None
            verdicts.append(reconciled(account, ScriptedVenue(position("9"))))

        venue.on_book = rival
        assert isinstance(reconciled(account, venue), Done)
        assert verdicts == [Busy()]
        assert not Position.objects.exists()

    def test_a_message_delivered_again_reads_nothing(self, account: TradingAccount) -> None:
        waiting = reconcile.request(account, "event")
        reconcile.run(waiting.pk, ScriptedVenue())
        again = ScriptedVenue(position("1"))
        assert reconcile.run(waiting.pk, again) == Done()
        assert again.books_read == 0

    def test_a_run_that_was_given_up_applies_nothing(self, account: TradingAccount) -> None:
        venue = ScriptedVenue(position("1"))
        recovered: list[uuid.UUID] = []

        def sweep() -> None:
            venue.on_book = lambda: None
            late = timezone.now() + timedelta(seconds=reconcile.ABANDONED_AFTER_S + 1)
            recovered.extend(reconcile.recover_abandoned(late))

        venue.on_book = sweep
        assert reconciled(account, venue) == Done()
        assert not Position.objects.exists()
        assert reconcile.run(recovered[0], venue) == Done()
        assert Position.objects.count() == 1

    @pytest.mark.parametrize("redelivered", [True, False])
    def test_a_run_whose_worker_died_is_taken_over_by_its_message(
        self, account: TradingAccount, *, redelivered: bool
    ) -> None:
        lost = reconcile.request(account, "event")
        assert reconciliations.claim(lost.pk, timezone.now()) is not None
        venue = ScriptedVenue(position("1"))
        verdict = reconcile.run(lost.pk, venue, redelivered=redelivered)
        assert venue.books_read == 0
        if not redelivered:
            assert verdict == Done()  # it may be alive
            return
        assert isinstance(verdict, Failed)
        assert verdict.retry_in_s <= 1.0
        assert reconcile.run(lost.pk, venue, redelivered=True) == Done()
        assert reconcile.run(verdict.next_run, venue, redelivered=True) == Done()
        assert row().is_open

    def test_a_run_that_was_taken_over_applies_nothing(self, account: TradingAccount) -> None:
        venue = ScriptedVenue(position("1"))
        waiting = reconcile.request(account, "event")
        verdicts: list[Verdict] = []
        venue.on_book = lambda: verdicts.append(reconcile.run(waiting.pk, ScriptedVenue(), redelivered=True))
        assert reconcile.run(waiting.pk, venue) == Done()
        assert [type(verdict) for verdict in verdicts] == [Failed]
        assert not Position.objects.exists()

    def test_no_transaction_is_open_while_the_venue_is_asked(self, account: TradingAccount) -> None:
        open_during: list[bool] = []
        venue = ScriptedVenue(position("1"))
        venue.on_book = lambda: open_during.append(connection.in_atomic_block)
        reconciled(account, venue)
        assert open_during == [False]


class TestPushes:
    def test_tell_the_books_after_the_run(self, account: TradingAccount, pushed: list[tuple[str, object]]) -> None:
        reconciled(account, ScriptedVenue(position("1"), orders=(order("o1"),)))
        sent = dict(pushed)
        rows = sent["open_positions_update"]
        assert isinstance(rows, list)
        assert [(each["ticket"], each["volume"], each["sl"]) for each in rows] == [(1, 0.1, 0.0)]
        orders = sent["pending_orders_update"]
        assert isinstance(orders, list)
        assert orders[0]["type"] == "pending_order"
        info = sent["account_info_update"]
        assert isinstance(info, dict)
        assert (info["balance"], info["currency"]) == (1000.0, "EUR")

    def test_leave_out_what_is_not_known(self, account: TradingAccount, pushed: list[tuple[str, object]]) -> None:
        venue = ScriptedVenue(position("1"), orders=None)
        venue.figures = OUTAGE
        reconciled(account, venue)
        assert [kind for kind, _content in pushed] == ["open_positions_update"]

    def test_nothing_is_sent_of_a_failed_read(self, account: TradingAccount, pushed: list[tuple[str, object]]) -> None:
        venue = ScriptedVenue()
        venue.book = OUTAGE
        reconciled(account, venue)
        assert pushed == []
