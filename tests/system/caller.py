"""A host's own process that trades through TradingService: `python -m tests.system.caller ACCOUNT_ID`.

Place, modify, sync, a partial close, the rest from a coroutine, and an order taken back; prints what each returned.
"""

import asyncio
import json
import sys

import django

django.setup()

from connectors.errors import OrderRefusedError  # noqa: E402 - the models need the app registry
from connectors.trading_service import TradingService  # noqa: E402
from ctrader_app.models import TradingAccount  # noqa: E402


def main() -> None:
    """Trade, then tell."""
    service = TradingService(TradingAccount.objects.get(pk=sys.argv[1]))
    symbol = "EURUSD"
    placed = service.place_trade_sync(symbol, 0.3, "BUY", sl_distance=0.02, tp_distance=0.03, label="caller")
    position_id = placed["opened_position_ticket"]
    level = round(placed["price"] - 0.01, 5)
    modified = service.modify_position_protection_sync(position_id, symbol, stop_loss=level)
    open_row = service.get_position_details_sync(position_id)
    open_life = service.fetch_trade_sync_data_sync(position_id, symbol)
    part = service.close_position_sync(position_id, 0.1, symbol)
    rest = asyncio.run(service.close_position(position_id, 0.2, symbol))
    life = service.fetch_trade_sync_data_sync(position_id, symbol)
    bid = service.get_live_price_sync(symbol)["bid"]
    pending = service.place_trade_sync(symbol, 0.1, "BUY", order_type="LIMIT", limit_price=round(bid - 0.01, 5))
    cancelled = service.cancel_order_sync(pending["order_id"])
    try:
        service.place_trade_sync("NOSUCHSYMBOL", 0.1, "BUY")
    except OrderRefusedError as error:
        refused = {"code": error.code, "operation_id": error.operation_id}
    told = {
        "placed": placed, "modified": modified, "open_levels": [open_row.stop_loss, open_row.take_profit],
        "level": level, "open_life": open_life, "part": part, "rest": rest, "life": life, "pending": pending,
        "cancelled": cancelled, "refused": refused,
    }  # fmt: skip
    sys.stdout.write(f"told {json.dumps(told)}\n")


if __name__ == "__main__":
    main()
