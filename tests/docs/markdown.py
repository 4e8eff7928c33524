"""Reading the project's Markdown: links, anchors, tables, code."""

import re
import subprocess
from functools import lru_cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def tracked_files() -> tuple[Path, ...]:
    """The files of the repository: those under version control and the new ones that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return tuple(sorted(path for path in set(paths) if path.is_file()))


def pages() -> tuple[Path, ...]:
    """All Markdown files."""
    return tuple(path for path in tracked_files() if path.suffix == ".md")


@lru_cache(maxsize=256)
def tokens(path: Path) -> tuple[Token, ...]:
    """The page's tokens, inline ones after the block that holds them."""
    flat: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()):
        flat += [token, *(token.children or [])]
    return tuple(flat)


def links(path: Path) -> list[str]:
    """The targets of the page's links and images."""
    found = [token.attrGet("href") or token.attrGet("src") for token in tokens(path)]
    return [str(target) for target in found if target]


def anchors(path: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    page = tokens(path)
    titles = [page[at + 1].content for at, token in enumerate(page) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code_blocks(path: Path, language: str) -> list[str]:
    """The page's fenced code in one language."""
    return [token.content for token in tokens(path) if token.type == "fence" and token.info == language]


def table_rows(path: Path) -> list[list[str]]:
    """All rows of all tables of the page, cell by cell as they are written, headings left out."""
    rows: list[list[str]] = []
    is_heading = False
    for token in tokens(path):
        if token.type in ("thead_open", "thead_close"):
            is_heading = token.type == "thead_open"
        elif token.type == "tr_open" and not is_heading:
            rows.append([])
        elif token.type == "inline" and token.level and rows and not is_heading and _in_table(token):
            rows[-1].append(token.content)
    return rows


def _in_table(token: Token) -> bool:
    # table, its body, a row and a cell are around it; a paragraph's text is one level deep.
    return token.level >= 4
