"""What Prometheus scrapes. Counts only: no account, symbol or person is named."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from celery import current_app
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ctrader_app.conf import get_settings
from ctrader_app.domain.operations import State
from ctrader_app.ledger import clock
from ctrader_app.ledger.stream_workers import TICK_AGES
from ctrader_app.models import DeadLetter, Operation, ReconciliationRun, StreamWorker, SubscriptionLease, WebProcess
from ctrader_app.operations import queues, staleness
from ctrader_app.operations.queues import BrokerAwayError

logger = logging.getLogger(__name__)

REUSE_S = 5.0
"""Scraped more often than this, the last answer is repeated: counting all operations reads the whole table."""
WORKER_SHOWN_S = 300.0
"""A stream worker that has not signed for this long is gone; its counters would be kept for ever otherwise."""
WEB_PROCESS_SHOWN_S = 30.0
"""A web process with open sockets signs every 5 s."""


class LedgerCollector(Collector):
    """Reads the tables at each scrape: they are shared by all processes, so any of them can be asked."""

    def describe(self) -> list[Metric]:
        """Nothing: registering would collect otherwise, and so ask the database while modules are imported."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics as of now."""
        now = timezone.now()
        yield from self._operations(now)
        yield from self._stream(now)
        yield from self._sockets(now)
        yield from self._queues()
        yield from self._waiting(now)
        yield from self._prices()

    def _operations(self, now: datetime) -> Iterator[Metric]:
        counts = dict(Operation.objects.values_list("state").annotate(n=Count("pk")))
        by_state = GaugeMetricFamily("ctrader_operations", "Operations by state.", labels=["state"])
        for state in State:
            by_state.add_metric([state.value], counts.get(state.value, 0))
        yield by_state
        doubted = Operation.objects.filter(state=State.IN_DOUBT.value).aggregate(at=Min("doubted_at"))["at"]
        yield _age("ctrader_oldest_in_doubt_age_seconds", "Age of the oldest doubt; 0 without one.", now, doubted)
        queued = Operation.objects.filter(state=State.QUEUED.value).aggregate(at=Min("created_at"))["at"]
        yield _age("ctrader_oldest_queued_age_seconds", "Age of the oldest unsent operation.", now, queued)

    def _stream(self, now: datetime) -> Iterator[Metric]:
        yield self._dead_letters()
        seen = GaugeMetricFamily(
            "ctrader_stream_worker_sign_age_seconds", "Since the worker's last sign of life.", labels=["worker"]
        )
        counters = CounterMetricFamily(
            "ctrader_stream_worker_events", "What the worker counts since its start.", labels=["worker", "counter"]
        )
        pending = GaugeMetricFamily(
            "ctrader_stream_worker_pending", "What waits in the worker to be relayed.", labels=["worker"]
        )
        ages = HistogramMetricFamily(
            "ctrader_stream_tick_age_seconds",
            "Of each price that was sent to browsers, since it occurred at the microservice.",
            labels=["worker"],
        )
        shown_since = now - timedelta(seconds=WORKER_SHOWN_S)
        for worker in StreamWorker.objects.filter(seen_at__gte=shown_since).order_by("name"):
            seen.add_metric([worker.name], _seconds(now, worker.seen_at))
            for name, value in sorted(worker.counters.items()):
                if name == "layer.pending":
                    pending.add_metric([worker.name], value)
                elif isinstance(value, int | float):
                    counters.add_metric([worker.name, name], value)
                elif name == TICK_AGES:
                    ages.add_metric([worker.name], *_histogram(value))
        yield from (seen, counters, pending, ages)

    def _dead_letters(self) -> Metric:
        letters = GaugeMetricFamily(
            "ctrader_dead_letters", "Messages that could not be used.", labels=["reason", "status"]
        )
        rows = DeadLetter.objects.values_list("reason", "status").annotate(n=Count("pk")).order_by("reason", "status")
        for reason, status, count in rows:
            letters.add_metric([reason, status], count)
        return letters

    def _sockets(self, now: datetime) -> Iterator[Metric]:
        live = WebProcess.objects.filter(seen_at__gte=now - timedelta(seconds=WEB_PROCESS_SHOWN_S))
        signed = list(live.values_list("sockets", flat=True))
        sockets = GaugeMetricFamily("ctrader_sockets", "Open WebSockets by kind.", labels=["kind"])
        for kind in ("prices", "accounts"):
            sockets.add_metric([kind], sum(open_.get(kind, 0) for open_ in signed))
        yield sockets

    def _queues(self) -> Iterator[Metric]:
        """Nothing while the broker is away: the text must not say 0 of what is not known."""
        waiting = GaugeMetricFamily("ctrader_queue_messages", "Messages that wait at the broker.", labels=["queue"])
        try:
            depths = queues.stream_depths(get_settings())
            depths |= queues.depths(current_app.conf.broker_url, [current_app.conf.task_default_queue])
        except BrokerAwayError as error:
            logger.warning("no queue depths, the broker is away: %s", error)
            return
        for name, depth in sorted(depths.items()):
            waiting.add_metric([name], depth)
        yield waiting

    def _prices(self) -> Iterator[Metric]:
        limit_s = get_settings().stale_after_s
        ages = [age_s for _, age_s in staleness.prices(clock.now())]
        yield GaugeMetricFamily("ctrader_wanted_prices", "Symbols that somebody wants.", value=len(ages))
        stale = sum(age_s > limit_s for age_s in ages)
        yield GaugeMetricFamily("ctrader_stale_prices", "Wanted symbols that bring nothing new.", value=stale)
        oldest = max(ages, default=0.0)
        yield GaugeMetricFamily(
            "ctrader_oldest_price_age_seconds",
            "Of the wanted symbol that has been silent longest.",
            value=max(oldest, 0.0),
        )

    def _waiting(self, now: datetime) -> Iterator[Metric]:
        live = SubscriptionLease.objects.filter(expires_at__gt=now)
        leases = GaugeMetricFamily("ctrader_subscription_leases", "Live leases by stream.", labels=["stream"])
        leases.add_metric(["ticks"], live.filter(timeframe="").count())
        leases.add_metric(["bars"], live.exclude(timeframe="").count())
        yield leases
        waiting = ReconciliationRun.objects.filter(state=ReconciliationRun.State.REQUESTED)
        oldest = waiting.aggregate(at=Min("requested_at"))["at"]
        yield _age("ctrader_oldest_waiting_reconciliation_age_seconds", "0 when none waits.", now, oldest)


def _seconds(now: datetime, since: datetime) -> float:
    return max((now - since) / timedelta(seconds=1), 0.0)


def _histogram(report: dict[str, Any]) -> tuple[list[tuple[str, float]], float]:
    """Buckets, cumulative as Prometheus wants them, and the sum."""
    bounds = [*(str(bound) for bound in report["bounds"]), "+Inf"]
    return list(zip(bounds, accumulate(report["counts"]), strict=True)), report["sum"]


def _age(name: str, help_text: str, now: datetime, since: datetime | None) -> Metric:
    return GaugeMetricFamily(name, help_text, value=0.0 if since is None else _seconds(now, since))


class _Page:
    """The last scrape's text."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(LedgerCollector())
        self._lock = threading.Lock()
        self._at_s = -REUSE_S
        self._text = b""

    def text(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._at_s >= REUSE_S:
                self._text = generate_latest(self._registry)
                self._at_s = time.monotonic()
            return self._text

    def forget(self) -> None:
        self._at_s = -REUSE_S


page = _Page()


@require_safe
def metrics(_request: HttpRequest) -> HttpResponse:
    """Prometheus text."""
    return HttpResponse(page.text(), content_type=CONTENT_TYPE_LATEST)
