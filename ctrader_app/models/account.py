"""Accounts and the switches that stop trading."""

import uuid

from django.conf import settings
from django.db import models

from ctrader_app.models.fields import AmountField, EncryptedTextField


class TradingAccount(models.Model):
    """One account on one platform, owned by one user."""

    class Environment(models.TextChoices):
        DEMO = "demo", "demo"
        LIVE = "live", "live"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="trading_accounts")
    platform = models.CharField(max_length=32, default="ctrader")
    name = models.CharField(max_length=64, blank=True)
    broker_login = models.CharField(max_length=64, blank=True, help_text="The account's number at the broker.")
    access_token = EncryptedTextField(blank=True, help_text="Encrypted at rest; sent only to the microservice.")
    environment = models.CharField(max_length=8, choices=Environment.choices, default=Environment.DEMO)
    trading_enabled = models.BooleanField(
        default=True, help_text="Off: nothing can be opened on this account. Closing stays possible."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # The last figures seen, for pages and push messages; reads that matter go to the venue.
    balance = AmountField(null=True, blank=True, editable=False)
    equity = AmountField(null=True, blank=True, editable=False)
    margin = AmountField(null=True, blank=True, editable=False)
    free_margin = AmountField(null=True, blank=True, editable=False)
    margin_level = AmountField(null=True, blank=True, editable=False)
    currency = models.CharField(max_length=8, blank=True, editable=False)
    figures_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the venue stated these figures."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["platform", "environment", "broker_login"],
                condition=~models.Q(broker_login=""),
                name="one_account_per_broker_login",
            )
        ]

    def __str__(self) -> str:
        return self.name or self.broker_login or str(self.id)

    @property
    def wire_id(self) -> str:
        """The account's name on the wire: its broker login if it has one, else its internal UUID."""
        return self.broker_login or str(self.id)


class TradingControl(models.Model):
    """The global kill switch: one row, made when first needed. Absent means that opening is allowed."""

    SINGLETON = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON, editable=False)
    opening_enabled = models.BooleanField(
        default=True, help_text="Off: nothing can be opened on any account. Closing stays possible."
    )
    reason = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = "trading control"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_trading_control")]

    def __str__(self) -> str:
        return "opening allowed" if self.opening_enabled else "opening stopped"
