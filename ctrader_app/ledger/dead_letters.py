"""Dead letters: what could not be used, kept as it arrived, within bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ctrader_app.models import DeadLetter

BODY_BYTES = 64 * 1024
"""What is kept of a body. A longer one can be looked at, but not replayed."""

KEPT_PER_REASON = 2_000
"""The newest rows of each reason that :func:`prune` leaves: 128 MB in the worst case, about 1 MB in the usual one."""

_HEADERS = 50
_HEADER_CHARS = 1_000
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be used."""

    reason: str
    detail: str
    body: bytes
    routing_key: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)


def record(letters: Sequence[Letter]) -> None:
    """Keep these letters, in one statement."""
    DeadLetter.objects.bulk_create([_row(letter) for letter in letters])


def settle(dead_letter_id: int, status: DeadLetter.Status) -> bool:
    """NEW -> replayed or discarded; False when it was no longer NEW."""
    new = DeadLetter.objects.filter(pk=dead_letter_id, status=DeadLetter.Status.NEW)
    return bool(new.update(status=status))


def prune(kept: int = KEPT_PER_REASON) -> int:
    """Remove all but the newest ``kept`` letters of each reason; returns how many went."""
    removed = 0
    for reason in DeadLetter.objects.order_by().values_list("reason", flat=True).distinct():
        of_reason = DeadLetter.objects.filter(reason=reason).order_by("-pk")
        oldest_kept = of_reason.values_list("pk", flat=True)[kept - 1 : kept].first()
        if oldest_kept is not None:
            deleted, _ = DeadLetter.objects.filter(reason=reason, pk__lt=oldest_kept).delete()
            removed += deleted
    return removed


def _row(letter: Letter) -> DeadLetter:
    return DeadLetter(
        reason=_text(letter.reason, 40),
        detail=_text(letter.detail, _HEADER_CHARS),
        routing_key=_text(letter.routing_key, 255),
        headers=_headers(letter.headers),
        body=letter.body[:BODY_BYTES],
        size=len(letter.body),
    )


def _headers(headers: Mapping[str, object]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for name, value in list(headers.items())[:_HEADERS]:
        plain = value if value is None or isinstance(value, bool | int | float) else _text(str(value), _HEADER_CHARS)
        kept[_text(str(name), 255)] = plain
    return kept


def _text(text: str, limit: int) -> str:
    # PostgreSQL keeps neither NUL nor lone surrogates.
    clean = text.replace("\x00", _REPLACEMENT).encode("utf-8", "replace").decode()
    return clean[:limit]
