"""The generated parts of the documentation: ``script/docs`` writes them, a test finds them out of date.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. Importing this needs Django set up.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from ctrader_app.desk.api.routes import ROUTES
from ctrader_app.domain import outcomes
from ctrader_app.domain.operations import TRANSITIONS
from ctrader_app.wire.fields import ALIASES

ROOT = Path(__file__).resolve().parents[2]
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _transitions() -> str:
    rows: list[tuple[str, str, str]] = []
    for source, targets in TRANSITIONS.items():
        rows += [(f"`{source}`", f"`{target}`", why) for target, why in targets.items()]
        if not targets:
            rows.append((f"`{source}`", "nothing", "it is final"))
    return _table(("from", "to", "when"), rows)


def _outcomes() -> str:
    return "\n".join(line for line in (inspect.getdoc(outcomes) or "").splitlines() if line.startswith("|"))


def _aliases() -> str:
    rows = [(f"`{name}`", ", ".join(f"`{alias}`" for alias in names)) for name, names in ALIASES.items() if names[1:]]
    return _table(("field", "read under"), rows)


def _api() -> str:
    rows: list[tuple[str, str, str]] = []
    for route in ROUTES:
        takes = [f"`?{query.name}=`" for query in route.queries] + (["`Idempotency-Key`"] if route.takes_key else [])
        rows.append((f"`{route.method} /api/{route.path}`", ", ".join(takes), route.summary))
    return _table(("call", "takes", "does"), rows)


PARTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"aliases": _aliases, "api": _api, "outcomes": _outcomes, "transitions": _transitions}
)


def documents() -> list[Path]:
    """The pages that have generated parts."""
    return [path for path in sorted((ROOT / "docs").glob("*.md")) if _PART.search(path.read_text())]


def with_parts(text: str) -> str:
    """The page with its generated parts as they should be. Raises KeyError for a part that nobody generates."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}\n{match[3]}", text)


def named_parts(text: str) -> set[str]:
    """The names of the page's generated parts."""
    return {match[2] for match in _PART.finditer(text)}
