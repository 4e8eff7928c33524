"""Health and metrics."""

import asyncio
import re
import time
from datetime import timedelta

import pytest
from celery import current_app
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from kombu import Connection
from pytest_django import Settings

from ctrader_app.broadcast.groups import price_group
from ctrader_app.conf import get_settings
from ctrader_app.desk import health, metrics
from ctrader_app.ledger import feeds
from ctrader_app.ledger.feeds import News
from ctrader_app.models import DeadLetter, Feed, Operation, StreamWorker, SubscriptionLease, TradingAccount, WebProcess
from ctrader_app.operations import queues
from tests.settings import TEST_SHARED_SECRET
from tests.support.waiting import wait_until


def test_healthz_asks_nobody() -> None:
    """No database mark: asking it would fail the test."""
    assert Client().get("/healthz").json() == {"status": "ok"}


def checks_of(client: Client) -> dict[str, dict[str, str]]:
    response = client.get("/readyz")
    whole = response.json()
    fine = all(check["status"] != "fail" for check in whole["checks"].values())
    assert (response.status_code, whole["status"]) == ((200, "ok") if fine else (503, "fail"))
    checks: dict[str, dict[str, str]] = whole["checks"]
    return checks


@pytest.mark.django_db(transaction=True)
def test_readyz_names_each_part(client: Client) -> None:
    now = timezone.now()
    StreamWorker.objects.create(name="h:1", started_at=now, seen_at=now)
    checks = checks_of(client)
    assert list(checks) == ["database", "broker", "layer", "microservice", "stream", "prices"]
    assert {name: check["status"] for name, check in checks.items()} == {
        "database": "ok",
        "broker": "ok",
        "layer": "ok",
        "microservice": "fail",  # nothing listens where the test settings point
        "stream": "ok",
        "prices": "ok",
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
def test_stale_prices_are_named_and_do_not_make_the_process_unfit(client: Client, settings: Settings) -> None:
    settings.CTRADER_STALE_AFTER_SECONDS = 20
    since, until = timezone.now() - timedelta(seconds=60), timezone.now() + timedelta(seconds=60)
    accounts = [TradingAccount.objects.create(user=User.objects.create(username=name)) for name in ("ada", "bob")]
    for account in accounts:
        for symbol in ("XAUUSD", "EURUSD", *(f"S{number:02}" for number in range(30))):
            SubscriptionLease.objects.create(
                account=account, symbol=symbol, holder="x", expires_at=until, produced_since=since
            )
        feeds.note({price_group(account.pk, f"S{number:02}"): News(time.time()) for number in range(30)})
    response = client.get("/readyz")
    whole = response.json()
    assert whole["checks"]["prices"] == {
        "status": "stale", "detail": "4 of 64 have brought nothing for over 20 s: EURUSD, XAUUSD",
    }  # fmt: skip
    assert not any(text in response.content.decode() for account in accounts for text in (str(account.pk), "ada"))
    failed = {name for name, check in whole["checks"].items() if check["status"] == "fail"}
    assert failed == {"microservice", "stream"}  # which are not there in this test; stale prices are not among them
    health.forget()
    Feed.objects.all().delete()
    detail = client.get("/readyz").json()["checks"]["prices"]["detail"]
    assert detail.startswith("64 of 64 have brought nothing for over 20 s: EURUSD, S00, S01")
    assert detail.endswith("S18 and others")


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
        name="h:1", started_at=now, seen_at=now,
        counters={
            "received": 12, "note": "text", "layer.pending": 3,
            "tick_ages": {"bounds": [0.005, 0.1], "counts": [4, 2, 1], "sum": 9.5},
        },
    )  # fmt: skip
    for name, age_s, prices in (("w:1", 0, 5), ("w:2", 4, 2), ("dead", 60, 100)):
        WebProcess.objects.create(
            name=name, seen_at=now - timedelta(seconds=age_s), sockets={"prices": prices, "accounts": 1}
        )
    SubscriptionLease.objects.create(
        account=account, symbol="EURUSD", holder="x", expires_at=now + timedelta(minutes=1)
    )
    SubscriptionLease.objects.create(account=account, symbol="EURUSD", timeframe="M1", holder="x", expires_at=now)
    for symbol, age_s in (("OLD", 70), ("YOUNG", 2)):
        SubscriptionLease.objects.create(
            account=account, symbol=symbol, holder="x", expires_at=now + timedelta(minutes=1),
            produced_since=now - timedelta(seconds=age_s),
        )  # fmt: skip

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
    assert lines['ctrader_subscription_leases{stream="ticks"}'] == "3.0"
    assert (lines["ctrader_wanted_prices"], lines["ctrader_stale_prices"]) == ("2.0", "1.0")
    assert 70 <= float(lines["ctrader_oldest_price_age_seconds"]) < 120
    assert lines['ctrader_subscription_leases{stream="bars"}'] == "0.0"
    age = "ctrader_stream_tick_age_seconds"
    assert [lines[f'{age}_bucket{{le="{le}",worker="h:1"}}'] for le in ("0.005", "0.1", "+Inf")] == [
        "4.0",
        "6.0",
        "7.0",
    ]
    assert (lines[f'{age}_count{{worker="h:1"}}'], lines[f'{age}_sum{{worker="h:1"}}']) == ("7.0", "9.5")
    assert [lines[f'ctrader_sockets{{kind="{kind}"}}'] for kind in ("prices", "accounts")] == ["7.0", "2.0"]
    assert lines["ctrader_oldest_waiting_reconciliation_age_seconds"] == "0.0"


def depths_of(client: Client) -> dict[str, str]:
    text = client.get("/metrics").content.decode()
    return dict(re.findall(r'^ctrader_queue_messages\{queue="([^"]+)"\} (\S+)$', text, re.MULTILINE))


@pytest.mark.django_db
@pytest.mark.parametrize("shared", [False, True])
def test_metrics_tell_what_waits_at_the_broker(
    client: Client, settings: Settings, amqp_url: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AMQP_URL, settings.AMQP_MARKET_SHARED = amqp_url, shared
    monkeypatch.setitem(current_app.conf, "broker_url", amqp_url)
    assert depths_of(client) == {}
    stem = "ctrader.backend"
    waiting = {"ctrader": 1, f"{stem}.market": 2, f"{stem}.state": 3, f"{stem}.dead": 0}
    shares = {queues.partition(stem, 0): 4, queues.partition(stem, 63): 5}
    with Connection(amqp_url) as connection:
        for name, count in (waiting | shares).items():
            queue = connection.SimpleQueue(name)
            for _ in range(count):
                queue.put({})
        expected = waiting | {f"{stem}.market": 11 if shared else 2}

        def known() -> bool:
            metrics.page.forget()
            return depths_of(client) == {name: f"{count:.1f}" for name, count in expected.items()}

        wait_until(known)


@pytest.mark.django_db
def test_a_broker_that_is_away_leaves_the_depths_out_and_the_rest_in(client: Client, settings: Settings) -> None:
    settings.AMQP_URL = "amqp://guest:secret@127.0.0.1:9//"
    text = client.get("/metrics").content.decode()
    assert "ctrader_queue_messages" not in text
    assert "ctrader_dead_letters" in text
