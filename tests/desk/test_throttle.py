"""The bound on writes."""

from ctrader_app.desk.api.throttle import Throttle


def test_a_burst_then_an_even_flow() -> None:
    now = 100.0
    throttle = Throttle(clock=lambda: now)
    assert [throttle.take("ada", 6) for _ in range(6)] == [0.0] * 6
    assert throttle.take("ada", 6) == 10.0
    now += 4.0
    assert throttle.take("ada", 6) == 6.0
    now += 6.0
    assert throttle.take("ada", 6) == 0.0
    assert throttle.take("ada", 6) == 10.0


def test_one_user_does_not_slow_another() -> None:
    throttle = Throttle(clock=lambda: 0.0)
    assert throttle.take("ada", 1) == 0.0
    assert throttle.take("ada", 1) > 0.0
    assert throttle.take("bob", 1) == 0.0


def test_a_rest_never_saves_up_more_than_a_minute() -> None:
    now = 0.0
    throttle = Throttle(clock=lambda: now)
    throttle.take("ada", 2)
    now += 3600.0
    assert [throttle.take("ada", 2) == 0.0 for _ in range(3)] == [True, True, False]
