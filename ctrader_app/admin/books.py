"""The books: positions, working orders and deals, as the venue last stated them."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ctrader_app.admin.base import ReadOnlyAdmin, amount, columns, environment
from ctrader_app.models import Deal, Operation, Order, Position


@admin.display(description="operation")
def operation_link(row: Position | Order | Deal) -> SafeString:
    """The operation with the row's client order id, if one of ours made it."""
    found = Operation.objects.filter(client_order_id=row.client_order_id).first() if row.client_order_id else None
    if found is None:
        return format_html("{}", "-")
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:ctrader_app_operation_change", args=[found.pk]), str(found)
    )


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin[Position]):
    """Positions, open and closed."""

    list_display = (
        "position_id",
        "account",
        environment,
        "symbol",
        "direction",
        amount("volume"),
        amount("open_price"),
        amount("profit"),
        "is_open",
        "is_settled",
        "observed_at",
    )
    list_filter = ("is_open", "is_settled", "account__environment", "symbol")
    list_select_related = ("account",)
    search_fields = ("position_id", "client_order_id", "label", "account__broker_login")
    ordering = ("-observed_at",)
    fields = columns(
        *("account", environment, "position_id", "symbol", "direction", "is_open"),
        *(amount(name) for name in ("volume", "open_price", "current_price", "stop_loss", "take_profit")),
        *(amount(name) for name in ("profit", "swap", "commission")),
        *("open_time", "close_time", amount("close_price"), "is_settled"),
        *("client_order_id", operation_link, "label", "comment", "observed_at"),
    )


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin[Order]):
    """Working orders."""

    list_display = (
        "order_id",
        "account",
        environment,
        "symbol",
        "direction",
        "order_type",
        amount("volume"),
        amount("price"),
        "placed_at",
    )
    list_filter = ("order_type", "account__environment", "symbol")
    list_select_related = ("account",)
    search_fields = ("order_id", "client_order_id", "label", "account__broker_login")
    ordering = ("-placed_at",)
    fields = columns(
        *("account", environment, "order_id", "symbol", "direction", "order_type"),
        *(amount(name) for name in ("volume", "price", "stop_loss", "take_profit")),
        *("placed_at", "client_order_id", operation_link, "label", "observed_at"),
    )


@admin.register(Deal)
class DealAdmin(ReadOnlyAdmin[Deal]):
    """Executions."""

    list_display = (
        "ticket",
        "account",
        environment,
        "position_id",
        "symbol",
        "direction",
        "is_entry",
        "reason",
        amount("volume"),
        amount("price"),
        amount("profit"),
        "executed_at",
    )
    list_filter = ("is_entry", "reason", "is_invented", "account__environment", "symbol")
    list_select_related = ("account",)
    search_fields = ("ticket", "order_id", "position_id", "client_order_id", "account__broker_login")
    ordering = ("-executed_at",)
    fields = columns(
        *("account", environment, "ticket", "is_invented", "order_id", "position_id", "symbol", "direction"),
        *("is_entry", "reason"),
        *(amount(name) for name in ("volume", "price", "profit", "commission", "swap")),
        *("executed_at", "comment", "magic", "client_order_id", operation_link),
    )
