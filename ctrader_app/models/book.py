"""The books: positions, working orders and deals as the venue last stated them."""

from django.db import models

from ctrader_app.models.account import TradingAccount
from ctrader_app.models.fields import AmountField


class Position(models.Model):
    """A position, open or closed. Volumes in lots, costs negative."""

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="positions")
    position_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)
    direction = models.CharField(max_length=4)
    volume = AmountField(help_text="Lots still open.")
    open_price = AmountField()
    current_price = AmountField(null=True, blank=True)
    stop_loss = AmountField(null=True, blank=True)
    take_profit = AmountField(null=True, blank=True)
    profit = AmountField(default=0)
    swap = AmountField(default=0)
    commission = AmountField(default=0)
    open_time = models.DateTimeField(null=True, blank=True)
    client_order_id = models.CharField(max_length=64, blank=True)
    label = models.CharField(max_length=128, blank=True)
    comment = models.CharField(max_length=512, blank=True)
    is_open = models.BooleanField(default=True)
    close_time = models.DateTimeField(null=True, blank=True)
    close_price = AmountField(null=True, blank=True)
    is_settled = models.BooleanField(
        default=False, help_text="Closed, and its deals and final figures were read from the venue."
    )
    observed_at = models.DateTimeField(help_text="When the newest statement used for this row was asked for or made.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "position_id"], name="one_row_per_position"),
        ]
        indexes = [
            models.Index(fields=["account"], condition=models.Q(is_open=True), name="open_positions"),
            models.Index(
                fields=["account"], condition=models.Q(is_open=False, is_settled=False), name="unsettled_positions"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.volume.normalize():f} {self.symbol} #{self.position_id}"


class Order(models.Model):
    """A working order. The row goes when the venue no longer lists it; what it became is a deal, or nothing."""

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="orders")
    order_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)
    direction = models.CharField(max_length=4)
    order_type = models.CharField(max_length=8)
    volume = AmountField(help_text="Lots.")
    price = AmountField()
    stop_loss = AmountField(null=True, blank=True)
    take_profit = AmountField(null=True, blank=True)
    placed_at = models.DateTimeField(null=True, blank=True)
    client_order_id = models.CharField(max_length=64, blank=True)
    label = models.CharField(max_length=128, blank=True)
    observed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "order_id"], name="one_row_per_order")]

    def __str__(self) -> str:
        return f"{self.order_type} {self.direction} {self.symbol} #{self.order_id}"


class Deal(models.Model):
    """One execution. Written once, never changed."""

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="deals")
    ticket = models.CharField(max_length=64)
    order_id = models.CharField(max_length=64, blank=True)
    position_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)
    direction = models.CharField(max_length=4)
    is_entry = models.BooleanField()
    reason = models.CharField(max_length=8)
    volume = AmountField(help_text="Lots.")
    price = AmountField()
    profit = AmountField()
    commission = AmountField()
    swap = AmountField()
    executed_at = models.DateTimeField()
    comment = models.CharField(max_length=512, blank=True)
    magic = models.BigIntegerField(default=0)
    client_order_id = models.CharField(max_length=64, blank=True)
    is_invented = models.BooleanField(
        default=False, help_text="The venue gave no ticket: this one is derived from the position and its close."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "ticket"], name="one_row_per_deal")]
        indexes = [
            models.Index(fields=["account", "position_id"], name="deals_of_a_position"),
            models.Index(fields=["account", "-executed_at"], name="deals_newest_first"),
        ]

    def __str__(self) -> str:
        return f"deal {self.ticket}"
