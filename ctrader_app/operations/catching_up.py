"""What the venue says now of a stream that somebody wants: read after a gap, for nobody repeats what was missed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.errors import ConnectorError, RequestRefusedError
from ctrader_app.domain.facts import CandleFact, PriceFact
from ctrader_app.ledger import leases
from ctrader_app.ledger.leases import Stream
from ctrader_app.models import TradingAccount
from ctrader_app.operations import gateway

BARS = 8
"""Bars read of each stream, the forming one included: as far back as the relay lets a late last state through. A gap
that is longer than seven bars leaves a hole in charts that were open, which they fill when they load again."""

Wanted = tuple[Stream, TradingAccount]


@dataclass(frozen=True, slots=True)
class Now:
    """A stream as it is. ``asked_at`` is when that was asked: nothing in it is older."""

    stream: Stream
    asked_at: datetime
    price: PriceFact | None = None
    bars: Sequence[CandleFact] = field(default_factory=tuple)


def wanted() -> list[Wanted]:
    """Every stream that somebody holds, with its account, in two queries. Raises django.db.Error."""
    streams = leases.live_streams()
    accounts = TradingAccount.objects.in_bulk({stream.account_id for stream in streams})
    return [(stream, accounts[stream.account_id]) for stream in streams if stream.account_id in accounts]


def read(stream: Stream, account: TradingAccount) -> Now | None:
    """The stream as it is; None when the venue could not be asked. No database is used: for any thread."""
    client, ref = gateway.client(), gateway.ref_of(account)
    asked_at = datetime.now(UTC)
    try:
        if stream.timeframe:
            return Now(stream, asked_at, bars=client.candles(ref, stream.symbol, stream.timeframe, count=BARS))
        return Now(stream, asked_at, price=client.price(ref, stream.symbol))
    except RequestRefusedError:
        # It is not to be had, and will not be for asking again.
        return Now(stream, asked_at)
    except ConnectorError:
        return None
