"""Health and metrics."""

import asyncio
from datetime import timedelta

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from ctrader_app.conf import get_settings
from ctrader_app.desk import health
from ctrader_app.models import DeadLetter, Operation, StreamWorker, SubscriptionLease, TradingAccount
from tests.settings import TEST_SHARED_SECRET


def test_healthz_asks_nobody() -> None:
    """No database mark: asking it would fail the test."""
    assert Client().get("/healthz").json() == {"status": "ok"}


def checks_of(client: Client) -> dict[str, dict[str, str]]:
    response = client.get("/readyz")
    whole = response.json()
    fine = all(check["status"] == "ok" for check in whole["checks"].values())
    assert (response.status_code, whole["status"]) == ((200, "ok") if fine else (503, "fail"))
    checks: dict[str, dict[str, str]] = whole["checks"]
    return checks


@pytest.mark.django_db(transaction=True)
def test_readyz_names_each_part(client: Client) -> None:
    now = timezone.now()
    StreamWorker.objects.create(name="h:1", started_at=now, seen_at=now)
    checks = checks_of(client)
    assert list(checks) == ["database", "broker", "layer", "microservice", "stream"]
    assert {name: check["status"] for name, check in checks.items()} == {
        "database": "ok",
        "broker": "ok",
        "layer": "ok",
        "microservice": "fail",  # nothing listens where the test settings point
        "stream": "ok",
    }


@pytest.mark.django_db(transaction=True)
def test_a_silent_stream_worker_is_named(client: Client) -> None:
    assert checks_of(client)["stream"] == {"status": "fail", "detail": "no stream worker has ever signed"}
    health.forget()
    then = timezone.now() - timedelta(seconds=40)
    StreamWorker.objects.create(name="h:1", started_at=then, seen_at=then)
    assert checks_of(client)["stream"]["status"] == "fail"
    assert "40 s old" in checks_of(client)["stream"]["detail"]


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_fails_without_telling_the_password(client: Client, settings: Settings) -> None:
    settings.AMQP_URL = "amqp://user:hunter2@127.0.0.1:9//"
    get_settings.cache_clear()
    response = client.get("/readyz")
    assert response.json()["checks"]["broker"]["status"] == "fail"
    assert b"hunter2" not in response.content
    assert TEST_SHARED_SECRET.encode() not in response.content


async def test_a_part_that_hangs_or_breaks_does_not_hide_the_others() -> None:
    async def hangs() -> str:
        await asyncio.Event().wait()
        return "never"

    async def breaks() -> str:
        raise RuntimeError("secret")

    async def works() -> str:
        return "fine"

    findings = await health.run_checks({"a": hangs, "b": breaks, "c": works}, timeout_s=0.05)
    assert findings == {
        "a": health.Finding(ok=False, detail="no answer within 0.05 s"),
        "b": health.Finding(ok=False, detail="RuntimeError"),
        "c": health.Finding(ok=True, detail="fine"),
    }


async def test_the_layer_is_judged_by_what_comes_back(redis_url: str) -> None:
    layer = RedisPubSubChannelLayer(hosts=[redis_url])
    for _ in range(20):
        assert await asyncio.wait_for(health.round_trip(layer), 5.0) == "round trip"
    await layer.flush()
    gone = RedisPubSubChannelLayer(hosts=["redis://127.0.0.1:9/0"])
    findings = await health.run_checks({"layer": lambda: health.round_trip(gone)}, timeout_s=2.0)
    assert not findings["layer"].ok
    await gone.flush()


def test_metrics_count_what_the_tables_hold(client: Client, user: User) -> None:
    now = timezone.now()
    account = TradingAccount.objects.create(user=user)
    for number, state in enumerate(["queued", "in_doubt", "in_doubt", "succeeded"]):
        Operation.objects.create(
            sequence=number, account=account, kind="place", state=state, idempotency_key=f"k{number}",
            fingerprint="f", parameters={}, client_order_id=f"ct-{number}", deadline=now, created_at=now,
            updated_at=now, doubted_at=now - timedelta(seconds=60 * number) if state == "in_doubt" else None,
        )  # fmt: skip
    DeadLetter.objects.create(reason="NOT_JSON", body=b"")
    StreamWorker.objects.create(
        name="h:1", started_at=now, seen_at=now, counters={"received": 12, "note": "text", "layer.pending": 3}
    )
    SubscriptionLease.objects.create(
        account=account, symbol="EURUSD", holder="x", expires_at=now + timedelta(minutes=1)
    )
    SubscriptionLease.objects.create(account=account, symbol="EURUSD", timeframe="M1", holder="x", expires_at=now)

    response = client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in response.content.decode().splitlines() if not line.startswith("#"))
    assert lines['ctrader_operations{state="in_doubt"}'] == "2.0"
    assert lines['ctrader_operations{state="succeeded"}'] == "1.0"
    assert lines['ctrader_operations{state="failed"}'] == "0.0"
    assert 120 <= float(lines["ctrader_oldest_in_doubt_age_seconds"]) < 180
    assert lines['ctrader_dead_letters{reason="NOT_JSON",status="new"}'] == "1.0"
    assert lines['ctrader_stream_worker_events_total{counter="received",worker="h:1"}'] == "12.0"
    assert lines['ctrader_stream_worker_pending{worker="h:1"}'] == "3.0"
    assert lines['ctrader_subscription_leases{stream="ticks"}'] == "1.0"
    assert lines['ctrader_subscription_leases{stream="bars"}'] == "0.0"
    assert lines["ctrader_oldest_waiting_reconciliation_age_seconds"] == "0.0"
