"""What the admin pages share: read-only models, exact numbers, text that stays text."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ctrader_app.domain.numbers import plain
from ctrader_app.models import TradingAccount

M = TypeVar("M", bound=Model)
Parent = TypeVar("Parent", bound=Model)
Column = Callable[[Any], str]

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
else:  # Django's classes take no type arguments at run time

    class ModelAdmin(admin.ModelAdmin, Generic[M]):
        """admin.ModelAdmin that can be subscripted."""

    class TabularInline(admin.TabularInline, Generic[M, Parent]):
        """admin.TabularInline that can be subscripted."""


def columns(*items: str | Column) -> tuple[str, ...]:
    """Names and callables, as Django takes them in every list of fields; its stubs know only the names."""
    return cast("tuple[str, ...]", items)


class ReadOnlyAdmin(ModelAdmin[M]):
    """Nothing can be added, changed or deleted. Its actions ask for ``decide``: the model's change permission."""

    can_be_added = False
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_be_added and super().has_add_permission(request)

    def has_change_permission(self, *_args: object, **_kwargs: object) -> bool:
        return False

    def has_delete_permission(self, *_args: object, **_kwargs: object) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: M | None = None) -> tuple[str, ...]:
        return tuple(flatten_fieldsets(self.get_fieldsets(request, obj)))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Whether this person may do more than look. The change permission is what says so."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")


def amount(name: str, label: str | None = None) -> Column:
    """A column with an exact number, without the zeros that fill up its database column."""

    @admin.display(description=label or name.replace("_", " "), ordering=name)
    def column(row: Model) -> str:
        value = getattr(row, name)
        return "-" if value is None else plain(value)

    column.__name__ = f"shown_{name}"
    return column


def pretty(name: str, label: str | None = None) -> Column:
    """A field with JSON in it, indented. Escaped: what is in it came from outside."""

    @admin.display(description=label or name.replace("_", " "))
    def column(row: Model) -> SafeString:
        return preformatted(getattr(row, name))

    column.__name__ = f"shown_{name}"
    return column


def preformatted(value: Any) -> SafeString:
    """JSON as indented text, never as HTML."""
    if value is None:
        return format_html("{}", "-")
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html("<pre>{}</pre>", text)


def environment_of(account: TradingAccount) -> SafeString:
    """demo or LIVE, the latter not to be overlooked."""
    live = account.environment == TradingAccount.Environment.LIVE
    return format_html("<strong>{}</strong>", "LIVE") if live else format_html("{}", account.environment)


@admin.display(description="environment", ordering="account__environment")
def environment(row: Any) -> SafeString:
    """:func:`environment_of` the row's account."""
    return environment_of(row.account)
