"""What the event stream leaves behind: the inbox, dead letters, reconciliations and subscription leases."""

import uuid

from django.db import models

from ctrader_app.models.account import TradingAccount


class ProcessedEvent(models.Model):
    """The inbox: an event that had its effect. Written in the effect's own transaction."""

    event_id = models.UUIDField(primary_key=True)
    type = models.CharField(max_length=40)
    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="+")
    occurred_at = models.DateTimeField()
    processed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["processed_at"], name="inbox_by_age")]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class DeadLetter(models.Model):
    """A message that could not be used, exactly as it arrived."""

    class Status(models.TextChoices):
        NEW = "new", "new"
        REPLAYED = "replayed", "replayed"
        DISCARDED = "discarded", "discarded"

    reason = models.CharField(max_length=40)
    detail = models.TextField(blank=True)
    routing_key = models.CharField(max_length=255, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    body = models.BinaryField(help_text="At most the first 64 KiB of what arrived.")
    size = models.PositiveIntegerField(default=0, help_text="Bytes that arrived.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.NEW)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["status", "reason"], name="dead_letters_by_reason")]

    def __str__(self) -> str:
        return f"{self.reason} at {self.received_at:%Y-%m-%d %H:%M:%S}"


class ReconciliationRun(models.Model):
    """One comparison of an account's books with the venue. Triggers that come while one waits join it."""

    class State(models.TextChoices):
        REQUESTED = "requested", "requested"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="reconciliations")
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    cause = models.CharField(max_length=80)
    triggers = models.PositiveIntegerField(default=1, help_text="How many triggers this run answers.")
    attempts = models.PositiveIntegerField(default=0)
    requested_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    opened = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    closed = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(state="requested"), name="one_waiting_reconciliation"
            ),
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(state="running"), name="one_running_reconciliation"
            ),
        ]
        indexes = [models.Index(fields=["account", "-requested_at"], name="runs_newest_first")]

    def __str__(self) -> str:
        return f"{self.state} {self.requested_at:%Y-%m-%d %H:%M:%S}"


class StreamWorker(models.Model):
    """A stream worker's sign of life, written every few seconds; how other processes know that prices flow."""

    name = models.CharField(primary_key=True, max_length=120, help_text="host:pid")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    last_event_at = models.DateTimeField(null=True, blank=True)
    counters = models.JSONField(default=dict, blank=True, help_text="Since its start: received, relayed, and so on.")

    def __str__(self) -> str:
        return self.name


class SubscriptionLease(models.Model):
    """One holder's interest in one stream, until it expires. Empty ``timeframe``: ticks."""

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="leases")
    symbol = models.CharField(max_length=64)
    timeframe = models.CharField(max_length=8, blank=True)
    holder = models.CharField(max_length=120)
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the microservice last agreed to produce this stream."
    )
    produced_since = models.DateTimeField(
        null=True, blank=True, help_text="When it first did: from then on the stream is expected to bring something."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "symbol", "timeframe", "holder"], name="one_lease_per_holder")
        ]
        indexes = [models.Index(fields=["expires_at"], name="leases_by_expiry")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe or 'ticks'} for {self.holder}"


class Feed(models.Model):
    """What a wanted stream last brought, and when, as the stream worker that reads it says every few seconds."""

    group = models.CharField(primary_key=True, max_length=100, help_text="The Channels group of its prices or bars.")
    # Without an index: PostgreSQL then rewrites a row in its place, and this one is written every few seconds.
    last_event_at = models.DateTimeField(help_text="When it last brought something new.")
    quoted_at = models.DateTimeField(null=True, blank=True, help_text="The venue's own time of that quote.")
    # As they are relayed: nothing is computed from them.
    bid = models.FloatField(null=True, blank=True)
    ask = models.FloatField(null=True, blank=True)

    def __str__(self) -> str:
        return self.group


class Duty(models.Model):
    """A job that one process at a time does, and another takes over when it has died."""

    name = models.CharField(primary_key=True, max_length=40)
    holder = models.CharField(max_length=120)
    until = models.DateTimeField()

    class Meta:
        verbose_name_plural = "duties"

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"


class WebProcess(models.Model):
    """A web process with open sockets: it says so every few seconds, and takes its leave with the last of them."""

    name = models.CharField(primary_key=True, max_length=120, help_text="host:pid:random")
    seen_at = models.DateTimeField()
    sockets = models.JSONField(default=dict, help_text="Open sockets by kind: prices, accounts.")

    class Meta:
        verbose_name_plural = "web processes"

    def __str__(self) -> str:
        return self.name
