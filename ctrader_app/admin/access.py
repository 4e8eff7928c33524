"""API tokens: shown once when they are issued, revoked but never deleted."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ctrader_app.admin.base import ReadOnlyAdmin
from ctrader_app.ledger import access
from ctrader_app.models import ApiToken


class TokenForm(forms.Form):
    """Whose token, and what for. Only a superuser may issue one for somebody else: it acts in that person's name."""

    name = forms.CharField(max_length=64, help_text="What it is for.")

    def __init__(self, *args: Any, issuer: AbstractBaseUser, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        users = get_user_model()._default_manager.filter(is_active=True)
        if not getattr(issuer, "is_superuser", False):
            users = users.filter(pk=issuer.pk)
        self.fields["user"] = forms.ModelChoiceField(users, initial=issuer.pk)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin[ApiToken]):
    """Tokens by name; their digests are of no use to anybody and are not shown."""

    list_display = ("__str__", "user", "created_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    ordering = ("-created_at",)
    fields = ("name", "user", "created_at", "revoked_at")
    actions = ("revoke",)
    can_be_added = True

    @sensitive_variables("token")
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Issue a token and show it: this answer is the only place where it is ever to be seen."""
        if not self.has_add_permission(request) or not isinstance(request.user, AbstractBaseUser):
            raise PermissionDenied
        form = TokenForm(request.POST if request.method == "POST" else None, issuer=request.user)
        token = ""
        if form.is_valid():
            user, name = form.cleaned_data["user"], form.cleaned_data["name"]
            token = access.issue_token(user, name)
            self.log_addition(request, ApiToken.objects.filter(user=user).latest("pk"), f"Issued for {user}.")
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "opts": self.opts,
            "title": "Issue an API token",
            "form": form,
            "form_url": form_url,
            "token": token,
        }
        # The admin lets no page of its own be stored by a browser or a proxy, so this one is not kept either.
        return TemplateResponse(request, "admin/ctrader_app/apitoken/issue.html", context)

    @admin.action(description="Revoke", permissions=["decide"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        """From now on nobody gets in with the chosen tokens."""
        live = tokens.filter(revoked_at__isnull=True)
        for token in live:
            self.log_change(request, token, "Revoked.")
        count = ApiToken.objects.filter(pk__in=[token.pk for token in live]).update(revoked_at=timezone.now())
        self.message_user(request, f"{count} tokens revoked.")
