"""Start a stream for its first holder, stop it after the last one, over any number of processes.

No lock is held and no transaction is open while the microservice is asked, so every decision is looked at again
afterwards. A lease is committed before it is looked whether the stream runs; a stream is stopped before the last
lease's row goes, and after the stop it is looked whether somebody wants it again. In whatever order two processes
come and go, whoever acts last sees the other one's row. A process that dies leaves rows that expire; the sweep does
what it could not.
"""

import logging
import random
from collections.abc import Callable, Sequence
from uuid import UUID

from connectors.errors import ConnectorError, RequestRefusedError
from ctrader_app.ledger import leases
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import TradingAccount
from ctrader_app.operations import gateway

logger = logging.getLogger(__name__)

SWEPT_AT_ONCE = 500
RENEWED_AT_ONCE = 5_000
"""Bounds of one run of the sweep and of the renewal; the next run takes the rest."""

GIVEN_UP_AFTER = 5
"""Failures in a row after which a run waits for the next one: the service is down, and every call costs its time."""

_random = random.SystemRandom()


def acquire(account_id: UUID, symbol: str, timeframe: str, holder: str, ttl_s: float) -> None:
    """Hold the stream for ``ttl_s`` seconds and have it produced. Empty ``timeframe``: ticks.

    Raises connectors.errors when the microservice cannot be asked or refuses; the lease stands all the same, and the
    next :func:`acquire` or :func:`renew_production` asks again. Must be called with no transaction open.
    """
    stream = Stream(account_id, symbol, timeframe)
    leases.hold(stream, holder, ttl_s)
    if not leases.is_produced(stream):
        _start(stream)


def ensure(account_id: UUID, symbol: str, timeframe: str) -> None:
    """Ask for the production of a stream that somebody holds, whatever is known of it: its data have stopped coming.

    Raises connectors.errors.
    """
    stream = Stream(account_id, symbol, timeframe)
    if leases.is_wanted(stream):
        _start(stream)


def release(account_id: UUID, symbol: str, timeframe: str, holder: str) -> None:
    """Give the lease up and stop the production if nobody else holds the stream.

    Never raises for what the microservice does: a stop that failed is left to :func:`sweep_leases`.
    """
    stream = Stream(account_id, symbol, timeframe)
    leases.retire(stream, holder)
    try:
        _settle(stream)
    except ConnectorError as error:
        logger.warning("cannot stop %s %s yet: %s", symbol, timeframe or "ticks", error.message)


def renew(holder: str, ttl_s: float) -> set[Stream]:
    """Extend all the holder's leases, in one statement; returns the streams it still holds.

    A stream that is missing was swept, because the holder was away for longer than its leases lived: acquire it again.
    """
    return leases.renew(holder, ttl_s)


def sweep_leases() -> int:
    """Stop what only expired leases stand for; returns how many streams were dealt with."""
    return _each(leases.dead_streams(), SWEPT_AT_ONCE, _settle)


def renew_production() -> int:
    """Ask for every wanted stream again: the microservice may have restarted. Returns how many it agreed to."""
    return _each(leases.live_streams(), RENEWED_AT_ONCE, _start)


def _each(streams: Sequence[Stream], most: int, deal_with: Callable[[Stream], None]) -> int:
    """Deal with the streams in no fixed order, so that those that fail do not starve the others behind them."""
    done = failures_in_a_row = 0
    for stream in _random.sample(streams, min(most, len(streams))):
        try:
            deal_with(stream)
        except ConnectorError as error:
            logger.warning("%s %s: %s", stream.symbol, stream.timeframe or "ticks", error.message)
            failures_in_a_row += not isinstance(error, RequestRefusedError)
            if failures_in_a_row >= GIVEN_UP_AFTER:
                break
        else:
            failures_in_a_row = 0
            done += 1
    return done


def _start(stream: Stream) -> None:
    account = TradingAccount.objects.filter(pk=stream.account_id).first()
    if account is None:
        return
    client, ref = gateway.client(), gateway.ref_of(account)
    if stream.timeframe:
        client.subscribe_candles(ref, stream.symbol, stream.timeframe)
    else:
        client.subscribe_price(ref, stream.symbol)
    leases.confirm(stream)


def _settle(stream: Stream) -> None:
    """Stop the stream if nobody wants it, and remove the leases that had expired before that was decided."""
    dead = leases.dead_of(stream)
    if leases.is_wanted(stream):
        leases.bury(dead)
        return
    _stop(stream)
    leases.bury(dead)
    if leases.is_wanted(stream):
        # Somebody came between the decision and the stop, and may believe that the stream runs.
        _start(stream)


def _stop(stream: Stream) -> None:
    account = TradingAccount.objects.filter(pk=stream.account_id).first()
    if account is None:
        return
    client, ref = gateway.client(), gateway.ref_of(account)
    try:
        if stream.timeframe:
            client.unsubscribe_candles(ref, stream.symbol, stream.timeframe)
        else:
            client.unsubscribe_price(ref, stream.symbol)
    except RequestRefusedError as error:
        # The service does not know the stream (any more): there is nothing left to stop.
        logger.info("stopping %s: %s", stream.symbol, error.message)
