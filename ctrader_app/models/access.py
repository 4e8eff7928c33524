"""Ways in besides the session: API tokens and single-use socket tickets. Only digests are stored."""

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """A lasting token for programs. The token itself is shown once, when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ctrader_api_tokens")
    name = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 of the token.")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name or f"token {self.pk}"


class SocketTicket(models.Model):
    """A ticket that opens one WebSocket, once, within 30 seconds, so that no lasting secret is in a URL."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="tickets_by_expiry")]

    def __str__(self) -> str:
        return f"ticket {self.pk}"
