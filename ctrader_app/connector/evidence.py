"""What is kept of an answer: bounded, and without our secrets should a service echo them."""

from ctrader_app.connector.config import AccountRef, ConnectorConfig
from ctrader_app.connector.transport import Answer

MAX_EVIDENCE_CHARS = 2048


def cleaned(text: str, config: ConnectorConfig, ref: AccountRef) -> str:
    """``text`` cut at 2,048 characters, without the shared secret, the access token, and NUL (no database takes it)."""
    for secret in (config.secret, ref.access_token):
        if secret:
            text = text.replace(secret, "***")
    return text.replace("\x00", "\ufffd")[:MAX_EVIDENCE_CHARS]


def evidence_of(answer: Answer, config: ConnectorConfig, ref: AccountRef) -> str:
    """The status and the beginning of the body."""
    # More than is kept is looked at, so that a secret across the cut is still found whole.
    text = answer.body[: 4 * MAX_EVIDENCE_CHARS].decode("utf-8", errors="replace")
    return cleaned(f"HTTP {answer.status} {text}", config, ref)
