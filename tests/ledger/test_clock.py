"""Numbers by the database's clock."""

from datetime import timedelta

import pytest

from ctrader_app.ledger import clock


def test_numbers_only_rise_though_a_measurement_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_offset", timedelta(milliseconds=200))
    before = [clock.now_ns() for _ in range(100)]
    monkeypatch.setattr(clock, "_offset", timedelta(0))
    after = [clock.now_ns() for _ in range(100)]
    assert before + after == sorted({*before, *after})


def test_a_clock_that_was_wrong_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_offset", timedelta(hours=1))
    wrong = clock.now_ns()
    monkeypatch.setattr(clock, "_offset", timedelta(0))
    assert wrong - clock.now_ns() > timedelta(minutes=59) // timedelta(microseconds=1) * 1000
