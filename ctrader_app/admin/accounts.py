"""Accounts, their secrets that nobody can read back, and the switches that stop trading."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ctrader_app.admin.base import ModelAdmin, amount, columns, environment_of
from ctrader_app.models import TradingAccount, TradingControl
from ctrader_app.operations import reconcile
from ctrader_app.tasks.queue import QueueUnavailable, enqueue_sync

if TYPE_CHECKING:
    AccountModelForm = forms.ModelForm[TradingAccount]
else:
    AccountModelForm = forms.ModelForm


class AccountForm(AccountModelForm):
    """The access token goes in and never comes out."""

    new_access_token = forms.CharField(
        required=False,
        strip=True,
        label="Access token",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Write a new one here to replace what is stored; leave it empty to keep that. It is never shown.",
    )
    clear_access_token = forms.BooleanField(required=False, label="Remove the stored access token")

    class Meta:
        model = TradingAccount
        exclude = ("access_token",)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("new_access_token") and data.get("clear_access_token"):
            raise forms.ValidationError("Either replace the access token or remove it.")
        return data

    def save(self, commit: bool = True) -> TradingAccount:
        if self.cleaned_data["clear_access_token"]:
            self.instance.access_token = ""
        elif self.cleaned_data["new_access_token"]:
            self.instance.access_token = self.cleaned_data["new_access_token"]
        return super().save(commit)


@admin.register(TradingAccount)
class AccountAdmin(ModelAdmin[TradingAccount]):
    """Accounts with their kill switch."""

    form = AccountForm
    list_display = (
        "__str__",
        "user",
        "platform",
        "shown_environment",
        "broker_login",
        "trading_enabled",
        amount("balance"),
        amount("equity"),
        "currency",
        "figures_at",
    )
    list_filter = ("environment", "platform", "trading_enabled")
    list_select_related = ("user",)
    search_fields = ("name", "broker_login", "user__username", "id")
    autocomplete_fields = ("user",)
    figures = columns(
        *(amount(name) for name in ("balance", "equity", "margin", "free_margin", "margin_level")),
        "currency",
        "figures_at",
    )
    readonly_fields = ("id", "has_access_token", "created_at", *figures)
    fieldsets = (
        (None, {"fields": ("id", "user", "name", "platform", "environment", "broker_login", "created_at")}),
        ("Trading", {"fields": ("trading_enabled",)}),
        ("Access", {"fields": ("has_access_token", "new_access_token", "clear_access_token")}),
        ("Last figures seen", {"fields": figures}),
    )
    actions = ("stop_opening", "allow_opening", "reconcile_now")

    @admin.display(description="environment", ordering="environment")
    def shown_environment(self, account: TradingAccount) -> SafeString:
        """demo or LIVE."""
        return environment_of(account)

    @admin.display(description="access token stored", boolean=True)
    def has_access_token(self, account: TradingAccount) -> bool:
        """Whether there is one; what it is, nobody is told."""
        return bool(account.access_token)

    @admin.action(description="Stop opening trades (closing stays possible)", permissions=["change"])
    def stop_opening(self, request: HttpRequest, accounts: QuerySet[TradingAccount]) -> None:
        """The kill switch of the chosen accounts."""
        self._switch(request, accounts, enabled=False)

    @admin.action(description="Allow opening trades again", permissions=["change"])
    def allow_opening(self, request: HttpRequest, accounts: QuerySet[TradingAccount]) -> None:
        """Release the kill switch of the chosen accounts."""
        self._switch(request, accounts, enabled=True)

    def _switch(self, request: HttpRequest, accounts: QuerySet[TradingAccount], *, enabled: bool) -> None:
        with transaction.atomic():
            for account in accounts.exclude(trading_enabled=enabled):
                TradingAccount.objects.filter(pk=account.pk).update(trading_enabled=enabled)
                self.log_change(request, account, f"Opening trades {'allowed' if enabled else 'stopped'}.")
        word = "may open trades" if enabled else "cannot open trades any more"
        self.message_user(request, f"The chosen accounts {word}.")

    @admin.action(description="Reconcile the books now", permissions=["change"])
    def reconcile_now(self, request: HttpRequest, accounts: QuerySet[TradingAccount]) -> None:
        """Ask for a reconciliation of the chosen accounts."""
        runs = [reconcile.request(account, f"asked for by {request.user.get_username()}") for account in accounts]
        try:
            for run in runs:
                enqueue_sync(run.pk)
        except QueueUnavailable as error:
            self.message_user(request, f"The queue is down, the sweep will start them: {error}", messages.WARNING)
            return
        self.message_user(request, f"{len(runs)} reconciliations asked for.")


@admin.register(TradingControl)
class ControlAdmin(ModelAdmin[TradingControl]):
    """The global kill switch: one row at most."""

    list_display = ("__str__", "opening_enabled", "reason", "changed_at")
    fields = ("opening_enabled", "reason", "changed_at")
    readonly_fields = ("changed_at",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not TradingControl.objects.exists()

    def has_delete_permission(self, *_args: object, **_kwargs: object) -> bool:
        return False
