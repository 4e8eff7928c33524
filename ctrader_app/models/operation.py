"""Operations: the intents of callers, written down before anything is sent."""

import uuid

from django.db import models

from ctrader_app.domain.operations import IN_FLIGHT, OPEN, Kind, State
from ctrader_app.models.account import TradingAccount


class Operation(models.Model):
    """One intent, its state, and everything known about what became of it. Never deleted by the product."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sequence = models.BigIntegerField(
        editable=False, help_text="Order of creation in nanoseconds since the epoch; ties are broken by id."
    )
    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="operations")
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in Kind])
    state = models.CharField(
        max_length=10, choices=[(state.value, state.value) for state in State], default=State.QUEUED.value
    )
    idempotency_key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the kind and the parameters.")
    parameters = models.JSONField(help_text="What the caller asked for, numbers as exact text.")
    client_order_id = models.CharField(max_length=50, unique=True)
    lane = models.CharField(
        max_length=80, blank=True, help_text="Writes of one lane (one position, one order) go one at a time, in order."
    )
    deadline = models.DateTimeField(help_text="Never sent after this.")
    not_before = models.DateTimeField(null=True, blank=True, help_text="The service asked to wait until then.")

    reason = models.CharField(max_length=200, blank=True, help_text="Why it is in its state.")
    evidence = models.TextField(blank=True, help_text="What was seen when it came there.")
    actor = models.CharField(max_length=150, blank=True, help_text="A person's name, or the part of the system.")

    attempts = models.PositiveIntegerField(default=0, help_text="How often it was claimed for sending.")
    body = models.JSONField(null=True, blank=True, help_text="Exactly what is sent, fixed at the first claim.")
    baseline = models.JSONField(null=True, blank=True, help_text="What the position was before the write.")
    claimed_at = models.DateTimeField(null=True, blank=True)
    doubted_at = models.DateTimeField(null=True, blank=True)
    resolutions = models.PositiveIntegerField(default=0, help_text="How often its doubt was examined.")
    absences = models.PositiveIntegerField(default=0, help_text="How often its effect was authoritatively absent.")
    resolve_after = models.DateTimeField(null=True, blank=True)

    result = models.JSONField(null=True, blank=True, help_text="The MT5-shaped result once succeeded.")
    error_code = models.CharField(max_length=80, blank=True)
    error_message = models.TextField(blank=True)
    task_id = models.CharField(max_length=64, blank=True, help_text="The Celery task that carries it.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    opening_stopped: str | None = None
    """Why the global kill switch stops opening, as of when the ledger read the row; None: it does not."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "idempotency_key"], name="one_operation_per_key"),
            models.UniqueConstraint(
                fields=["account", "lane"],
                condition=models.Q(state__in=sorted(IN_FLIGHT)) & ~models.Q(lane=""),
                name="one_write_in_flight_per_lane",
            ),
        ]
        indexes = [
            # Everything the sweep and the lanes look at is open; finished rows must not slow them down.
            models.Index(
                fields=["state", "updated_at"], condition=models.Q(state__in=sorted(OPEN)), name="open_operations"
            ),
            models.Index(
                fields=["account", "lane", "sequence"],
                condition=models.Q(state__in=sorted(OPEN)),
                name="open_operations_by_lane",
            ),
            models.Index(fields=["account", "-sequence"], name="operations_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.state})"


class OperationTransition(models.Model):
    """One step in an operation's life: the audit trail.

    A trigger of the database writes it (migration 0002), in the statement that moves the operation: no transition,
    whoever makes it, can go unrecorded, and recording costs no round trip.
    """

    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="transitions")
    from_state = models.CharField(max_length=10, blank=True)
    to_state = models.CharField(max_length=10)
    reason = models.CharField(max_length=200)
    evidence = models.TextField(blank=True)
    actor = models.CharField(max_length=150, help_text="A person's name, or the part of the system.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.from_state or '(new)'} -> {self.to_state}"
