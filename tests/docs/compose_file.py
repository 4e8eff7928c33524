"""Reading compose.yaml: as much of YAML as that file uses, and an error for anything else.

Mappings and lists by indentation, one-line lists in JSON, plain and double-quoted text, literal blocks, comments,
anchors, and merge keys.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEY = re.compile(r"([\w<.-]+):(?: (.*))?$")
_ANCHOR = re.compile(r"&(\w+)(?: (.*))?$")
_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


class ComposeError(ValueError):
    """Something that this reader, or Compose, does not take."""


def load(path: Path) -> dict[str, Any]:
    """The file's content, merge keys carried out. Raises ComposeError."""
    reader = _Reader(path.read_text().splitlines())
    content = reader.block(0)
    if not isinstance(content, dict) or reader.at < len(reader.lines):
        raise ComposeError(f"line {reader.at + 1} is not understood")
    return content


def interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    """``value`` with ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` and ``$$`` as Compose has them."""
    if isinstance(value, dict):
        return {name: interpolated(each, environment) for name, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, environment) for each in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        found = environment.get(name, "")
        if found or kind is None:
            return found
        if kind == "?":
            raise ComposeError(f"{name}: {text}")
        return str(text)

    return "$".join(_VARIABLE.sub(replace, part) for part in value.split("$$"))


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0
        self._anchors: dict[str, Any] = {}

    def _next(self) -> tuple[int, str] | None:
        """Indentation and text of the next line that says something."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if "\t" in line:
                raise ComposeError(f"line {self.at + 1} holds a tab")
            text = line.strip()
            if text and not text.startswith("#"):
                return len(line) - len(line.lstrip()), text
            self.at += 1
        return None

    def block(self, indent: int) -> Any:
        """The mapping or list whose lines start at ``indent``."""
        first = self._next()
        if first is None or first[0] != indent:
            raise ComposeError(f"line {self.at + 1}: an indentation of {indent} was expected")
        return self._list(indent) if first[1].startswith("- ") else self._mapping(indent)

    def _list(self, indent: int) -> list[Any]:
        items: list[Any] = []
        while (line := self._next()) is not None and line[0] == indent and line[1].startswith("- "):
            self.at += 1
            items.append(self._scalar(line[1][2:], indent))
        return items

    def _mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while (line := self._next()) is not None and line[0] == indent:
            match = _KEY.match(line[1])
            if match is None or match[1] in found:
                raise ComposeError(f"line {self.at + 1} is no key, or one that was there before")
            self.at += 1
            if match[1] == "<<":
                merged |= self._alias(match[2] or "")
            else:
                found[match[1]] = self._value(match[2] or "", indent)
        return {**merged, **found}

    def _value(self, text: str, indent: int) -> Any:
        anchor = _ANCHOR.match(text)
        if anchor is not None:
            value = self._value(anchor[2] or "", indent)
            self._anchors[anchor[1]] = value
            return value
        if text:
            return self._scalar(text, indent)
        following = self._next()
        return self.block(following[0]) if following is not None and following[0] > indent else None

    def _alias(self, text: str) -> dict[str, Any]:
        value = self._anchors.get(text.removeprefix("*"))
        if not text.startswith("*") or not isinstance(value, dict):
            raise ComposeError(f"line {self.at}: {text} is no mapping that was named before")
        return value

    def _scalar(self, text: str, indent: int) -> Any:
        if text.startswith("*"):
            return self._anchors[text[1:]]
        if text.startswith(("[", '"')):
            return json.loads(text)
        if text == "|":
            return self._literal(indent)
        if text.startswith(("'", "{", "&", "!", "%", "@", ">", "|")) or " #" in text or ": " in _VARIABLE.sub("", text):
            raise ComposeError(f"line {self.at}: {text} is not understood")
        return text

    def _literal(self, indent: int) -> str:
        block: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                break
            block.append(line)
            self.at += 1
        margin = min(len(line) - len(line.lstrip()) for line in block if line.strip())
        return "\n".join(line[margin:] for line in block).rstrip("\n") + "\n"
