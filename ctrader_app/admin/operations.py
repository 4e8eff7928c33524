"""Operations: their state, their attempts, the evidence, and the doubts that only a person can settle."""

from datetime import UTC
from typing import Any
from uuid import UUID

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ctrader_app.admin.base import ReadOnlyAdmin, TabularInline, columns, environment, pretty
from ctrader_app.domain.operations import Kind, State
from ctrader_app.models import Operation, OperationTransition, Position
from ctrader_app.operations import resolve
from ctrader_app.operations.verdicts import Verdict
from ctrader_app.tasks.queue import enqueue

HAPPENED, NOT_HAPPENED, ASK_AGAIN = "happened", "not_happened", "ask_again"


class DecisionForm(forms.Form):
    """What a person knows of an operation in doubt."""

    decision = forms.ChoiceField(
        choices=(
            (ASK_AGAIN, "Ask again: examine it now; nothing is decided by hand"),
            (HAPPENED, "It happened: I found it at the venue under this id"),
            (NOT_HAPPENED, "It did not happen: I made sure at the venue that it had no effect"),
        ),
        widget=forms.RadioSelect,
        initial=ASK_AGAIN,
    )
    venue_id = forms.CharField(
        max_length=64,
        required=False,
        label="Id at the venue",
        help_text="The position's id, or the order's while it is pending. Only if it happened.",
    )
    is_sure = forms.BooleanField(
        required=False, label="I checked this at the venue", help_text="Needed for a decision by hand: it is final."
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        decision = data.get("decision")
        if decision == HAPPENED and not data.get("venue_id"):
            self.add_error("venue_id", "Which id does it have at the venue?")
        if decision in (HAPPENED, NOT_HAPPENED) and not data.get("is_sure"):
            self.add_error("is_sure", "A decision by hand is final: say that you checked.")
        return data


class TransitionInline(TabularInline[OperationTransition, Operation]):
    """The operation's life, step by step."""

    model = OperationTransition
    verbose_name_plural = "timeline"
    fields = ("shown_at", "from_state", "to_state", "reason", "shown_evidence", "actor")
    readonly_fields = fields
    ordering = ("pk",)
    extra = 0
    can_delete = False

    @admin.display(description="at (UTC)")
    def shown_at(self, transition: OperationTransition) -> str:
        """To the millisecond: a whole life takes less than a second."""
        return transition.at.astimezone(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")

    @admin.display(description="evidence")
    def shown_evidence(self, transition: OperationTransition) -> SafeString:
        """As text, whatever the service sent."""
        return format_html("<pre>{}</pre>", transition.evidence) if transition.evidence else format_html("{}", "-")

    def has_add_permission(self, *_args: object, **_kwargs: object) -> bool:
        return False

    def has_change_permission(self, *_args: object, **_kwargs: object) -> bool:
        return False

    def has_delete_permission(self, *_args: object, **_kwargs: object) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, *_args: object, **_kwargs: object) -> bool:
        # Who may see an operation may see its life: the audit trail is not a thing apart.
        return request.user.has_perm("ctrader_app.view_operation") or request.user.has_perm(
            "ctrader_app.change_operation"
        )


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin[Operation]):
    """Every write that was ever asked for. Nothing can be edited; a doubt can be settled."""

    change_form_template = "admin/ctrader_app/operation/change_form.html"
    change_list_template = "admin/ctrader_app/operation/change_list.html"
    list_display = (
        "created_at",
        "kind",
        "summary",
        "shown_state",
        "account",
        environment,
        "attempts",
        "deadline",
        "error_code",
        "client_order_id",
    )
    list_display_links = ("created_at", "summary")
    list_filter = ("state", "kind", "account__environment", "created_at", "account")
    list_select_related = ("account",)
    search_fields = ("id", "idempotency_key", "client_order_id", "error_code", "account__broker_login")
    ordering = ("-sequence",)
    inlines = (TransitionInline,)
    fieldsets = (
        (None, {"fields": columns("id", "account", environment, "kind", "summary", "shown_state", "created_at")}),
        (
            "What was asked for",
            {"fields": columns("idempotency_key", "fingerprint", pretty("parameters"), "client_order_id", "lane")},
        ),
        (
            "Sending",
            {
                "fields": columns(
                    *("deadline", "not_before", "attempts", "claimed_at", pretty("body"), pretty("baseline"), "task")
                )
            },
        ),
        ("Doubt", {"fields": ("doubted_at", "resolutions", "absences", "resolve_after")}),
        (
            "Outcome",
            {
                "fields": columns(
                    *(pretty("result"), "error_code", "error_message", "updated_at", "finished_at", "positions")
                )
            },
        ),
    )

    @admin.display(description="what")
    def summary(self, operation: Operation) -> str:
        """The intent in a few words."""
        asked: dict[str, Any] = operation.parameters
        names = ("direction", "volume", "symbol", "order_type", "price", "position_id", "order_id")
        return " ".join(str(asked[name]) for name in names if asked.get(name)) or "-"

    @admin.display(description="state", ordering="state")
    def shown_state(self, operation: Operation) -> SafeString:
        """The state; a doubt not to be overlooked."""
        template = "<strong>{}</strong>" if operation.state == State.IN_DOUBT else "{}"
        return format_html(template, operation.state.replace("_", " "))

    @admin.display(description="task result")
    def task(self, operation: Operation) -> SafeString:
        """A link to what django-celery-results keeps of the task that carries it."""
        if not operation.task_id or not apps.is_installed("django_celery_results"):
            return format_html("{}", operation.task_id or "-")
        results = apps.get_model("django_celery_results", "TaskResult")._default_manager
        found = results.filter(task_id=operation.task_id).first()
        if found is None:
            return format_html("{} (no result stored)", operation.task_id)
        url = reverse("admin:django_celery_results_taskresult_change", args=[found.pk])
        return format_html('<a href="{}">{}</a> ({})', url, operation.task_id, getattr(found, "status", ""))

    @admin.display(description="positions with its client order id")
    def positions(self, operation: Operation) -> SafeString:
        """What it opened, as far as the venue says so."""
        rows = Position.objects.filter(account_id=operation.account_id, client_order_id=operation.client_order_id)
        found = rows.first()
        if found is None:
            return format_html("{}", "-")
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:ctrader_app_position_change", args=[found.pk]), str(found)
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the doubts counted above it."""
        doubts = Operation.objects.filter(state=State.IN_DOUBT).count() if self.has_view_permission(request) else 0
        return super().changelist_view(request, {**(extra_context or {}), "doubts": doubts})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        operation = context.get("original")
        context["may_settle"] = (
            isinstance(operation, Operation)
            and operation.state == State.IN_DOUBT
            and self.has_decide_permission(request)
        )
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        settle = path(
            "<uuid:operation_id>/settle/",
            self.admin_site.admin_view(self.settle_view),
            name="ctrader_app_operation_settle",
        )
        return [settle, *super().get_urls()]

    def settle_view(self, request: HttpRequest, operation_id: UUID) -> HttpResponse:
        """Ask what a person knows of a doubt, and act on it. Not in a transaction: examining it asks the venue."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        operation = Operation.objects.select_related("account").filter(pk=operation_id).first()
        if operation is None:
            raise Http404
        back = reverse("admin:ctrader_app_operation_change", args=[operation.pk])
        if operation.state != State.IN_DOUBT:
            self.message_user(request, f"It is {operation.state}, there is no doubt to settle.", messages.WARNING)
            return HttpResponseRedirect(back)
        form = DecisionForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._decide(request, operation, form.cleaned_data)
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": operation,
            "title": "Settle a doubt",
            "summary": self.summary(operation),
            "form": form,
            "is_live": operation.account.environment == operation.account.Environment.LIVE,
            "places": operation.kind == Kind.PLACE,
            "back": back,
        }
        return TemplateResponse(request, "admin/ctrader_app/operation/settle.html", context)

    def _follow(self, verdict: Verdict) -> None:
        """Let the next write of its lane leave at once."""
        for step in verdict.follow_ups:
            enqueue(step)

    def _decide(self, request: HttpRequest, operation: Operation, decision: dict[str, Any]) -> None:
        actor = request.user.get_username()
        if decision["decision"] == ASK_AGAIN:
            verdict = resolve.ask_again(operation.pk, actor)
            self._follow(verdict)
            self.log_change(request, operation, "Examined again.")
            self.message_user(request, f"Examined: it is {verdict.state.value.replace('_', ' ')}.")
            return
        if decision["decision"] == HAPPENED:
            settled = resolve.settle_as_happened(operation.pk, decision["venue_id"], actor)
            words = f"Settled: it happened, id {decision['venue_id']}."
        else:
            settled = resolve.settle_as_not_happened(operation.pk, actor)
            words = "Settled: it did not happen."
        if settled is None:
            self.message_user(request, "It was settled meanwhile; see its timeline.", messages.WARNING)
            return
        self._follow(settled)
        self.log_change(request, operation, words)
        self.message_user(request, words)
