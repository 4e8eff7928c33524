"""Answers of the service: bytes in; a fact, a broker's rejection or UnreadableAnswer out, for any bytes at all.

An answer with status 200 that lacks what the contract requires is unreadable: it never becomes an empty list,
zeros or "now". A write's answer is compared with what was sent: an answer about something else is unreadable too.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import msgspec

from ctrader_app.domain.facts import (
    AccountFigures,
    Cancelled,
    CancelStatus,
    CandleFact,
    Closed,
    OpenBook,
    OrderTrace,
    Placed,
    PlaceStatus,
    PriceFact,
    Protected,
    SymbolFact,
    SyncFact,
    WriteAnswer,
)
from ctrader_app.wire.errors import UnreadableAnswer
from ctrader_app.wire.fields import Row, decode
from ctrader_app.wire.requests import CancelBody, CloseBody, ModifyProtectionBody, PlaceBody, WriteBody
from ctrader_app.wire.rows import optional_lots, read_book, read_candle, read_deal, read_figures, read_price, read_trace

T = TypeVar("T")

MAX_CODE_CHARS = 80
MAX_MESSAGE_CHARS = 500
MAX_EXTRA_BYTES = 4096

_REJECTED = frozenset({"rejected", "reject"})
_NOT_DONE = _REJECTED | {"error", "failed"}
"""Of a write, "failed" alone proves nothing; of a subscription, it must not be taken for done."""

_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
"""A text in an error's place that is a code: ``IDEMPOTENCY_IN_PROGRESS`` must be known for what it is."""

_CANCELLED = {"cancelled": CancelStatus.CANCELLED, "canceled": CancelStatus.CANCELLED, "filled": CancelStatus.FILLED}
_EFFECTS = frozenset(_CANCELLED) | frozenset(PlaceStatus)


@dataclass(frozen=True, slots=True)
class BrokerRejection:
    """The broker's own no, inside an answer with status 200."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What the body of an error answer says; empty strings where it says nothing that can be read."""

    code: str
    message: str


# -- reads ---------------------------------------------------------------------------------------------------


def parse_account(data: bytes) -> AccountFigures | BrokerRejection:
    """GET /account-info."""
    return _read(data, read_figures)


def parse_book(data: bytes) -> OpenBook | BrokerRejection:
    """GET /open-positions."""
    return _read(data, read_book)


def parse_price(data: bytes, symbol: str) -> PriceFact | BrokerRejection:
    """GET /price."""
    return _read(data, lambda row: read_price(row, symbol))


def parse_candles(data: bytes) -> tuple[CandleFact, ...] | BrokerRejection:
    """GET /candles, oldest first. A bare list of bars is read too."""
    values = decode(data)
    row = Row({"candles": values} if isinstance(values, list) else values)
    rejection = _rejection(row)
    if rejection is not None:
        return rejection
    return tuple(sorted((read_candle(each) for each in row.rows("candles")), key=lambda bar: bar.time_s))


def parse_symbol(data: bytes, symbol: str) -> SymbolFact | BrokerRejection:
    """GET /symbol-info."""
    return _read(data, lambda row: _symbol(row, symbol))


def parse_sync(data: bytes, position_id: str, symbol: str) -> SyncFact | BrokerRejection:
    """GET /trade/sync-data."""
    return _read(data, lambda row: _sync(row, position_id, symbol))


def parse_orders(data: bytes, client_order_id: str) -> tuple[OrderTrace, ...] | BrokerRejection:
    """GET /orders for one client order id: all its orders. A list that was cut off, or that is about another id, is
    unreadable: an absence is to be concluded from it."""
    return _read(data, lambda row: _traces(row, client_order_id))


def _traces(row: Row, client_order_id: str) -> tuple[OrderTrace, ...]:
    if row.raw("has_more") not in (None, False):
        raise UnreadableAnswer("the order history is cut off")
    traces = tuple(read_trace(each) for each in row.rows("orders"))
    if any(trace.client_order_id != client_order_id for trace in traces):
        raise UnreadableAnswer("the order history is about other orders")
    return traces


def parse_session(data: bytes) -> str | BrokerRejection:
    """POST /connect: the session's id, "" when the service names none."""
    return _read(data, lambda row: row.optional_identifier("session_id"), _NOT_DONE)


def parse_done(data: bytes) -> BrokerRejection | None:
    """Answers that say no more than that it was done: disconnect and the subscriptions."""
    return _read(data, lambda _row: None, _NOT_DONE)


def _read(data: bytes, reader: Callable[[Row], T], refusals: frozenset[str] = _REJECTED) -> T | BrokerRejection:
    row = Row(decode(data))
    return _rejection(row, refusals) or reader(row)


_SYMBOL_FIELDS = frozenset(
    {"symbol", "digits", "tick_size", "pip_size", "contract_size", "lot_step", "min_lot", "max_lot"}
)


def _symbol(row: Row, symbol: str) -> SymbolFact:
    named = row.name("symbol")
    if named.upper() != symbol.upper():
        raise UnreadableAnswer(f"the description is of {named}, not of {symbol}")
    digits = row.not_negative("digits")
    if digits > 15 or digits != int(digits):
        raise UnreadableAnswer("digits is not a number of digits")
    extra = {name: value for name, value in row.values.items() if name not in _SYMBOL_FIELDS}
    return SymbolFact(
        symbol=named,
        digits=int(digits),
        tick_size=row.positive("tick_size"),
        pip_size=row.positive("pip_size"),
        contract_size=row.positive("contract_size"),
        lot_step=row.positive("lot_step"),
        min_lot=row.positive("min_lot"),
        max_lot=row.positive("max_lot"),
        extra=_bounded(extra),
    )


def _bounded(extra: dict[str, object]) -> dict[str, object]:
    """As plain JSON values; nothing at all when it is too much to carry around."""
    try:
        plain = {name[:MAX_CODE_CHARS]: _plain(value) for name, value in extra.items()}
        return plain if len(msgspec.json.encode(plain)) <= MAX_EXTRA_BYTES else {}
    except (RecursionError, ValueError):
        return {}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        approximate = float(value)
        return approximate if math.isfinite(approximate) else None
    return value


def _sync(row: Row, position_id: str, symbol: str) -> SyncFact:
    named = row.optional_identifier("answer_position_id")
    if named and named != position_id:
        raise UnreadableAnswer(f"the answer is about position {named}, not about {position_id}")
    is_closed = row.flag("is_closed_on_platform")
    remaining = optional_lots(row, "platform_remaining_size")
    if is_closed and remaining:
        raise UnreadableAnswer("the position is closed and has a remaining size")
    deals = tuple(read_deal(each, position_id, symbol) for each in row.rows("deals"))
    latest = row.raw("latest_deal_timestamp")
    return SyncFact(
        deals=tuple(sorted(deals, key=lambda deal: deal.time_ms)),
        is_closed=is_closed,
        remaining_lots=remaining,
        latest_deal_time_s=row.epoch_ms("latest_deal_timestamp") // 1000 if latest else None,
        last_deal_price=row.level("last_deal_price"),
        final_profit=row.optional_number("final_profit"),
        final_commission=row.optional_number("final_commission"),
        final_swap=row.optional_number("final_swap"),
        error_message=row.text("error_message") or None,
    )


# -- writes --------------------------------------------------------------------------------------------------


def parse_write(data: bytes, sent: WriteBody) -> WriteAnswer | BrokerRejection:
    """The answer to ``sent``."""
    match sent:
        case PlaceBody():
            return parse_place(data, sent)
        case CloseBody():
            return parse_close(data, sent)
        case ModifyProtectionBody():
            return parse_modify(data, sent)
        case CancelBody():
            return parse_cancel(data, sent)


def parse_place(data: bytes, sent: PlaceBody) -> Placed | BrokerRejection:
    """POST /trade/place. A volume that the answer leaves out is the one that was asked for."""
    row = Row(decode(data))
    client_order_id = row.optional_identifier("client_order_id")
    if sent.client_order_id and client_order_id not in ("", sent.client_order_id):
        raise UnreadableAnswer(f"the answer is about somebody else's order {client_order_id}")
    status = _status(row)
    rejection = _rejection(row)
    if rejection is not None:
        _assert_no_effect(status in list(PlaceStatus) or row.optional_identifier("deal_id") != "")
        return rejection
    if status not in list(PlaceStatus):
        raise UnreadableAnswer(f"status {status!r} is neither filled, pending nor rejected")
    return Placed(
        order_id=row.identifier("answer_order_id"),
        status=PlaceStatus(status),
        volume_lots=sent.volume if row.raw("volume") is None else row.positive("volume"),
        client_order_id=client_order_id or sent.client_order_id or "",
        position_id=row.optional_identifier("answer_position_id") or None,
        deal_id=row.optional_identifier("deal_id") or None,
        price=row.level("price"),
    )


def parse_close(data: bytes, sent: CloseBody) -> Closed | BrokerRejection:
    """POST /trade/close. Order and deal id: one of them is enough; what was closed and what is left must be said."""
    row = Row(decode(data))
    _assert_same(row.optional_identifier("answer_position_id"), sent.position_id, "position")
    rejection = _rejection(row)
    if rejection is not None:
        _assert_no_effect(bool(optional_lots(row, "closed_volume")) or row.optional_identifier("deal_id") != "")
        return rejection
    order_id = row.optional_identifier("answer_order_id")
    deal_id = row.optional_identifier("deal_id")
    if not order_id and not deal_id:
        raise UnreadableAnswer("neither order_id nor deal_id")
    return Closed(
        order_id=order_id,
        deal_id=deal_id,
        close_price=row.level("close_price"),
        closed_lots=row.positive("closed_volume"),
        remaining_lots=row.not_negative("remaining_volume"),
    )


def parse_modify(data: bytes, sent: ModifyProtectionBody) -> Protected | BrokerRejection:
    """POST /trade/modify-protection. A level may be left out only where none was asked for."""
    row = Row(decode(data))
    named = row.optional_identifier("answer_position_id")
    _assert_same(named, sent.position_id, "position")
    rejection = _rejection(row)
    if rejection is not None:
        return rejection
    if not named and not row.has("stop_loss") and not row.has("take_profit"):
        raise UnreadableAnswer("neither the position nor a level is named")
    return Protected(
        position_id=sent.position_id,
        stop_loss=_echoed_level(row, "stop_loss", sent.stop_loss),
        take_profit=_echoed_level(row, "take_profit", sent.take_profit),
    )


def parse_cancel(data: bytes, sent: CancelBody) -> Cancelled | BrokerRejection:
    """POST /order/cancel: it was taken back, or it had filled."""
    row = Row(decode(data))
    _assert_same(row.optional_identifier("answer_order_id"), sent.order_id, "order")
    status = _CANCELLED.get(_status(row))
    rejection = _rejection(row)
    if rejection is not None:
        _assert_no_effect(status is not None)
        return rejection
    if status is None:
        raise UnreadableAnswer(f"status {_status(row)!r} is neither cancelled nor filled")
    return Cancelled(order_id=sent.order_id, status=status)


def _echoed_level(row: Row, name: str, sent: Decimal | None) -> Decimal | None:
    level = row.level(name)
    if level is None and sent is not None:
        raise UnreadableAnswer(f"{name} was asked for and is not in the answer")
    return level


def _assert_same(named: str, sent: str, what: str) -> None:
    if named and named != sent:
        raise UnreadableAnswer(f"the answer is about {what} {named}, not about {sent}")


def _assert_no_effect(effect: bool) -> None:
    # "Filled, but the stop was not accepted": taking that for a refusal would disown an open position.
    if effect:
        raise UnreadableAnswer("the answer carries an error and an effect")


def _status(row: Row) -> str:
    value = row.raw("status")
    return value.strip().lower()[:MAX_CODE_CHARS] if isinstance(value, str) else ""


# -- errors --------------------------------------------------------------------------------------------------


def _rejection(row: Row, statuses: frozenset[str] = _REJECTED) -> BrokerRejection | None:
    body = _error_of(row)
    if not body.code and not body.message:
        body = _wrapped_error(row)
    if not body.code and not body.message and _status(row) not in statuses:
        return None
    return BrokerRejection(body.code or "REJECTED", body.message or _message(row) or "the broker rejected it")


def parse_error(data: bytes) -> ErrorBody:
    """Code and message out of the body of an error answer, whatever it is. Never raises.

    Read are the contract's ``{"error": {"code", "message"}}``, a bare text in its place, the same under ``detail``
    (as web frameworks have it), and code and message at the top.
    """
    try:
        row = Row(decode(data))
    except UnreadableAnswer:
        return ErrorBody("", "")
    found = [_error_of(row), _said(row.values.get("detail")), ErrorBody(_code(row), _message(row))]
    return ErrorBody(
        next((body.code for body in found if body.code), ""), next((body.message for body in found if body.message), "")
    )


def _error_of(row: Row) -> ErrorBody:
    """The error that an answer carries; nothing when it carries none."""
    said = _said(row.values.get("error"))
    code = _short(row.raw("error_code"), MAX_CODE_CHARS) or said.code
    return ErrorBody(code, said.message or (_message(row) if code else ""))


def _wrapped_error(row: Row) -> ErrorBody:
    """The error in the one object that an answer wraps, ``{"result": {"errorCode"}}``; nothing beside an effect."""
    objects = [value for value in row.values.values() if isinstance(value, dict)]
    wrapped = Row(objects[0] if len(objects) == 1 else {})
    if _status(wrapped) in _EFFECTS or wrapped.has("deal_id") or wrapped.raw("error_code") is None:
        return ErrorBody("", "")
    return _error_of(wrapped)


def _said(value: object) -> ErrorBody:
    if isinstance(value, list) and value:
        value = value[0]  # validation errors: the first one is enough for people
    if isinstance(value, dict):
        row = Row(value)
        inner = row.values.get("error")
        return _error_of(row) if isinstance(inner, dict) else ErrorBody(_code(row), _message(row))
    text = _short(value, MAX_MESSAGE_CHARS)
    return ErrorBody(text, "") if _CODE.fullmatch(text) else ErrorBody("", text)


def _code(row: Row) -> str:
    return _short(row.raw("error_code") or row.raw("code"), MAX_CODE_CHARS)


def _message(row: Row) -> str:
    for name in ("message", "description", "detail", "reason", "msg"):
        text = _short(row.raw(name), MAX_MESSAGE_CHARS)
        if text:
            return text
    return ""


def _short(value: object, limit: int) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()[:limit].replace("\x00", "\ufffd")
    return "" if text == "0" else text
