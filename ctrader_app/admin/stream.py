"""What the event stream leaves behind: dead letters, reconciliations, leases and workers."""

import json

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ctrader_app.admin.base import ReadOnlyAdmin, columns, environment, preformatted, pretty
from ctrader_app.models import (
    DeadLetter,
    Duty,
    Feed,
    ReconciliationRun,
    StreamWorker,
    SubscriptionLease,
    WebProcess,
)
from ctrader_app.operations import dead_letters
from ctrader_app.operations.dead_letters import CannotReplayError


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin[DeadLetter]):
    """Messages that could not be used."""

    list_display = ("received_at", "reason", "status", "routing_key", "size", "short_detail")
    list_filter = ("status", "reason", "received_at")
    search_fields = ("detail", "routing_key")
    ordering = ("-pk",)
    fields = columns(
        "received_at", "reason", "detail", "status", "routing_key", "size", pretty("headers"), "shown_body"
    )
    actions = ("replay", "discard")

    @admin.display(description="detail")
    def short_detail(self, letter: DeadLetter) -> str:
        """The beginning of the detail."""
        return letter.detail[:100]

    @admin.display(description="body")
    def shown_body(self, letter: DeadLetter) -> SafeString:
        """Indented if it is JSON, else as it is; always text, whatever markup is in it."""
        body = bytes(letter.body)
        try:
            return preformatted(json.loads(body))
        except (ValueError, RecursionError):
            return preformatted(body.decode("utf-8", "backslashreplace"))

    @admin.action(description="Replay: back into the queue", permissions=["decide"])
    def replay(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Put the chosen letters back into the queue."""
        replayed = 0
        for letter in letters.order_by("pk"):
            try:
                dead_letters.replay(letter.pk)
            except CannotReplayError as error:
                self.message_user(request, f"{letter}: {error}", messages.ERROR)
            else:
                replayed += 1
                self.log_change(request, letter, "Replayed.")
        if replayed:
            self.message_user(request, f"{replayed} dead letters replayed.")

    @admin.action(description="Discard: they are of no use", permissions=["decide"])
    def discard(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Mark the chosen letters as of no use."""
        for letter in letters.order_by("pk"):
            if dead_letters.discard(letter.pk):
                self.log_change(request, letter, "Discarded.")
                self.message_user(request, f"{letter}: discarded.")
            else:
                self.message_user(request, f"{letter}: it was {letter.status} before.", messages.ERROR)


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin[ReconciliationRun]):
    """Comparisons of an account's books with its venue."""

    list_display = (
        "requested_at",
        "account",
        environment,
        "state",
        "cause",
        "triggers",
        "attempts",
        "opened",
        "changed",
        "closed",
        "finished_at",
    )
    list_filter = ("state", "account__environment", "requested_at")
    list_select_related = ("account",)
    search_fields = ("cause", "error", "account__broker_login")
    ordering = ("-requested_at",)
    fields = columns(
        *("id", "account", environment, "state", "cause", "triggers", "attempts"),
        *("requested_at", "started_at", "finished_at", "opened", "changed", "closed", "error"),
    )


@admin.register(SubscriptionLease)
class LeaseAdmin(ReadOnlyAdmin[SubscriptionLease]):
    """Who wants which stream, and until when."""

    list_display = (
        "account",
        environment,
        "symbol",
        "timeframe",
        "holder",
        "expires_at",
        "confirmed_at",
        "produced_since",
    )
    list_filter = ("symbol", "timeframe", "account__environment")
    list_select_related = ("account",)
    search_fields = ("symbol", "holder", "account__broker_login")
    ordering = ("symbol", "timeframe", "holder")
    fields = columns(
        "account", environment, "symbol", "timeframe", "holder", "expires_at", "confirmed_at", "produced_since"
    )


@admin.register(StreamWorker)
class StreamWorkerAdmin(ReadOnlyAdmin[StreamWorker]):
    """Stream workers and their signs of life."""

    list_display = ("name", "started_at", "seen_at", "last_event_at")
    ordering = ("-seen_at",)
    fields = columns("name", "started_at", "seen_at", "last_event_at", pretty("counters"))


@admin.register(WebProcess)
class WebProcessAdmin(ReadOnlyAdmin[WebProcess]):
    """Web processes with open sockets."""

    list_display = ("name", "seen_at", "sockets")
    ordering = ("-seen_at",)
    fields = columns("name", "seen_at", pretty("sockets"))


@admin.register(Feed)
class FeedAdmin(ReadOnlyAdmin[Feed]):
    """What each wanted stream last brought, and when."""

    list_display = ("group", "last_event_at", "bid", "ask")
    search_fields = ("group",)
    ordering = ("last_event_at",)
    fields = columns("group", "last_event_at", "quoted_at", "bid", "ask")


@admin.register(Duty)
class DutyAdmin(ReadOnlyAdmin[Duty]):
    """Who does what one process at a time does."""

    list_display = ("name", "holder", "until")
    ordering = ("name",)
    fields = columns("name", "holder", "until")
