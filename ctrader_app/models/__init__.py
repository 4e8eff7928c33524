"""The tables. Only ``ctrader_app.ledger`` writes to them (and the admin, where a person decides)."""

from ctrader_app.models.access import ApiToken, SocketTicket
from ctrader_app.models.account import TradingAccount, TradingControl
from ctrader_app.models.book import Deal, Order, Position
from ctrader_app.models.operation import Operation, OperationTransition
from ctrader_app.models.stream import (
    DeadLetter,
    Duty,
    Feed,
    ProcessedEvent,
    ReconciliationRun,
    StreamWorker,
    SubscriptionLease,
    WebProcess,
)

__all__ = [
    "ApiToken",
    "DeadLetter",
    "Deal",
    "Duty",
    "Feed",
    "Operation",
    "OperationTransition",
    "Order",
    "Position",
    "ProcessedEvent",
    "ReconciliationRun",
    "SocketTicket",
    "StreamWorker",
    "SubscriptionLease",
    "TradingAccount",
    "TradingControl",
    "WebProcess",
]
