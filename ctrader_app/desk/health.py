"""Is the process alive, and would a trade and a price get through?

Details never repeat an address or an exception's text: both may hold a password.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from channels.layers import BaseChannelLayer, get_channel_layer
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from kombu import Connection

from ctrader_app.broadcast.groups import normal_symbol
from ctrader_app.conf import get_settings
from ctrader_app.ledger import clock
from ctrader_app.models import StreamWorker
from ctrader_app.operations import gateway, staleness

CHECK_TIMEOUT_S = 3.0
"""For each check; they run side by side, so this bounds the whole answer."""
STREAM_FRESH_S = 15.0
"""A stream worker signs every few seconds; three missed signs are a dead one."""
SYMBOLS_NAMED = 20
"""Stale symbols that are named; of more it is said that there are others. Whose they are is never said."""
RESEND_S = 0.2
REUSE_S = 1.0
"""Asked more often than this, the last answer is repeated: anybody may ask, and every check costs a connection."""

# Apart from the loop's own executor: a check that hangs must not hold up anything else.
_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="readyz")


class NotReadyError(Exception):
    """A check's finding, in words that are safe to show."""


class StaleError(Exception):
    """A finding to look at that does not make the process unfit, in words that are safe to show."""


Check = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    ok: bool
    detail: str
    is_stale: bool = False

    @property
    def status(self) -> str:
        """ok, stale or fail."""
        return "stale" if self.is_stale else "ok" if self.ok else "fail"


@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process lives and answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


async def readyz(_request: HttpRequest) -> HttpResponse:
    """200 when every part answers, else 503; each part is named with ``ok``, ``stale`` or ``fail``.

    Stale prices leave it at 200: markets close, and no other web process would have younger ones.
    """
    findings = await _recent()
    ready = all(finding.ok for finding in findings.values())
    return JsonResponse(
        {
            "status": "ok" if ready else "fail",
            "checks": {
                name: {"status": finding.status, "detail": finding.detail} for name, finding in findings.items()
            },
        },
        status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Cache-Control": "no-store"},
    )


class _Last:
    at_s = -REUSE_S
    findings: Mapping[str, Finding] = {}


async def _recent() -> Mapping[str, Finding]:
    if time.monotonic() - _Last.at_s >= REUSE_S:
        _Last.findings = await run_checks(CHECKS)
        _Last.at_s = time.monotonic()
    return _Last.findings


def forget() -> None:
    """Make the next question ask all parts again."""
    _Last.at_s = -REUSE_S


async def run_checks(checks: Mapping[str, Check], timeout_s: float = CHECK_TIMEOUT_S) -> dict[str, Finding]:
    """All checks side by side, each within ``timeout_s``."""
    found = await asyncio.gather(*(_judged(check, timeout_s) for check in checks.values()))
    return dict(zip(checks, found, strict=True))


async def _judged(check: Check, timeout_s: float) -> Finding:
    try:
        return Finding(ok=True, detail=await asyncio.wait_for(check(), timeout_s))
    except StaleError as error:
        return Finding(ok=True, detail=str(error), is_stale=True)
    except NotReadyError as error:
        return Finding(ok=False, detail=str(error))
    except TimeoutError:
        return Finding(ok=False, detail=f"no answer within {timeout_s:g} s")
    except Exception as error:  # noqa: BLE001 - whatever a part raises, it is not ready, and the others are still told
        return Finding(ok=False, detail=type(error).__name__)


def _in_thread(check: Callable[[], str]) -> Check:
    async def run() -> str:
        return await asyncio.get_running_loop().run_in_executor(_threads, check)

    return run


def _with_database(check: Callable[[], str]) -> Check:
    def closing() -> str:
        try:
            return check()
        finally:
            connection.close()  # this thread's own: no request ends here to close it

    return _in_thread(closing)


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return connection.vendor


def _broker() -> str:
    urls = dict.fromkeys((get_settings().amqp_url, str(getattr(settings, "CELERY_BROKER_URL", "")) or None))
    for url in urls:
        if url is not None:
            with Connection(url, connect_timeout=CHECK_TIMEOUT_S / 2, transport_options={"max_retries": 0}) as broker:
                broker.connect()
    return "connected"


async def _layer() -> str:
    layer = get_channel_layer()
    if layer is None:
        raise NotReadyError("no channel layer is configured")
    return await round_trip(layer)


async def round_trip(layer: BaseChannelLayer) -> str:
    """Send to a group of our own until it arrives: on Redis pub/sub the first may overtake its own subscription."""
    group = f"readyz.{uuid.uuid4().hex}"
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    receiving = asyncio.ensure_future(layer.receive(channel))
    try:
        while not receiving.done():
            await layer.group_send(group, {"type": "readyz"})
            await asyncio.wait([receiving], timeout=RESEND_S)
        await receiving
    finally:
        receiving.cancel()
        await layer.group_discard(group, channel)
    return "round trip"


def _microservice() -> str:
    if not gateway.client().healthy():
        raise NotReadyError("does not answer as healthy")
    return "healthy"


def _stream() -> str:
    newest = StreamWorker.objects.order_by("-seen_at").values_list("seen_at", flat=True).first()
    if newest is None:
        raise NotReadyError("no stream worker has ever signed")
    age_s = (timezone.now() - newest) / timedelta(seconds=1)
    if age_s > STREAM_FRESH_S:
        raise NotReadyError(f"the last sign of a stream worker is {age_s:.0f} s old")
    return f"signed {max(age_s, 0.0):.1f} s ago"


def _prices() -> str:
    limit_s = get_settings().stale_after_s
    watched = staleness.prices(clock.now())
    stale = sorted({normal_symbol(each.stream.symbol) for each, age_s in watched if age_s > limit_s})
    count = sum(age_s > limit_s for _, age_s in watched)
    if count:
        named = ", ".join(stale[:SYMBOLS_NAMED]) + (" and others" if len(stale) > SYMBOLS_NAMED else "")
        raise StaleError(f"{count} of {len(watched)} have brought nothing for over {limit_s:g} s: {named}")
    return f"{len(watched)} wanted, none stale"


CHECKS: Mapping[str, Check] = {
    "database": _with_database(_database),
    "broker": _in_thread(_broker),
    "layer": _layer,
    "microservice": _in_thread(_microservice),
    "stream": _with_database(_stream),
    "prices": _with_database(_prices),
}
