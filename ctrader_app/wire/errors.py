"""How a parser says no."""

from enum import StrEnum

MAX_DETAIL_CHARS = 300
"""Details are read by people in a log or in the admin; what a stranger sent must not fill either."""


class UnreadableAnswer(Exception):  # noqa: N818 - it names what the answer is
    """An answer that does not say what the contract requires. ``reason`` names the first thing that is wrong."""

    def __init__(self, reason: str) -> None:
        self.reason = reason[:MAX_DETAIL_CHARS]
        super().__init__(self.reason)


class BadEventReason(StrEnum):
    """Why an event goes to the dead letters. ``UNKNOWN_ACCOUNT`` is the consumer's to find."""

    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    WRONG_SHAPE = "wrong_shape"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_ACCOUNT = "unknown_account"


class BadEvent(Exception):  # noqa: N818 - it names what the event is
    """An event that cannot be taken, with the ``reason`` under which it is filed and a ``detail`` for people."""

    def __init__(self, reason: BadEventReason, detail: str) -> None:
        self.reason = reason
        self.detail = detail[:MAX_DETAIL_CHARS]
        super().__init__(reason, self.detail)

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"
