"""The pages hold together: links lead somewhere, generated parts are new, decisions are complete, nothing leaks."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.generated import PARTS, documents, named_parts, with_parts
from tests.docs.markdown import ROOT, anchors, links, pages, table_rows, tracked_files

DECISIONS = ROOT / "docs" / "decisions"
# Put together, so that this file does not hold what it looks for.
FORBIDDEN = tuple("".join(parts) for parts in (("/wo", "rk/"), ("../sha", "red")))
BINARY = {".png", ".ico", ".woff2"}


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=_relative)
def test_relative_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    broken: list[str] = []
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        inside = target == ROOT or ROOT in target.parents
        if not inside or not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The `one` heading!\n\n[a](b.md), ![c](d.png) and [e](#the-one-heading)\n")
    assert links(page) == ["b.md", "d.png", "#the-one-heading"]
    assert anchors(page) == {"the-one-heading"}


def test_generated_parts_are_up_to_date() -> None:
    """``script/docs`` brings them up to date."""
    assert {name for page in documents() for name in named_parts(page.read_text())} == set(PARTS)
    assert [_relative(page) for page in documents() if with_parts(page.read_text()) != page.read_text()] == []


def test_a_part_that_is_out_of_date_would_be_found() -> None:
    stale = "before\n<!-- generated: transitions -->\n| old |\n<!-- end -->\nafter\n"
    assert with_parts(stale) != stale
    assert with_parts(stale).startswith("before\n<!-- generated: transitions -->\n| from |")
    assert with_parts(with_parts(stale)) == with_parts(stale)


def test_decisions_are_numbered_complete_and_listed() -> None:
    found = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in found] == list(range(1, len(found) + 1))
    listed = [link for link in links(DECISIONS / "README.md") if link.endswith(".md")]
    assert listed == [page.name for page in found]
    for page in found:
        assert re.match(rf"# {page.name[:4]}\. \S", page.read_text()), page.name
        assert {"context", "decision", "consequences"} <= anchors(page), page.name


def test_every_direct_dependency_has_its_reason() -> None:
    named = {name.strip() for row in table_rows(DECISIONS / "0002-dependencies.md") for name in row[0].split(",")}
    for file in ("requirements.txt", "requirements-dev.txt"):
        direct, _, indirect = (ROOT / file).read_text().partition("# What those need")
        assert indirect, f"{file} does not part direct from indirect packages"
        packages = {line.split("==")[0] for line in direct.splitlines() if "==" in line}
        assert packages - named == set(), file


def test_nothing_tells_of_the_place_where_it_was_made() -> None:
    told = [
        f"{_relative(path)}: {word}"
        for path in tracked_files()
        if path.suffix not in BINARY
        for word in FORBIDDEN
        if word.encode() in path.read_bytes()
    ]
    assert told == []


def test_docstrings_that_point_at_a_document_point_at_one() -> None:
    """Pages named in code exist, and so do the contract's sections that docstrings refer to."""
    sections = set(re.findall(r"^## (\d+)\. ", (ROOT / "docs" / "contract.md").read_text(), re.MULTILINE))
    missing: list[str] = []
    for path in tracked_files():
        if path.suffix not in {".py", ".txt", ".sh", ".yaml", ".js", ".html"}:
            continue
        text = path.read_text()
        missing += [
            f"{_relative(path)}: {name}"
            for name in re.findall(r"\bdocs/[\w./-]+\.md", text)
            if not (ROOT / name).is_file()
        ]
        missing += [
            f"{_relative(path)}: section {n}" for n in re.findall(r"contract, section (\d+)", text) if n not in sections
        ]
    assert sections == {"1", "2", "3", "4", "5", "6"}
    assert missing == []
