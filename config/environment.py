"""Settings out of the environment: typed, bounded, and wrong ones named in one line."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class SettingError(ValueError):
    """A setting is missing or malformed. The message is one line and names it, never its secret value."""


class Environment:
    """Reads typed settings from a mapping (default: the process's environment). Empty means absent."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str, default: str | None = None, *, hint: str = "") -> str:
        """Text; required where no default is given."""
        value = self._values.get(name, "").strip()
        if value:
            return value
        if default is None:
            raise SettingError(f"{name} is missing{': ' + hint if hint else ''}")
        return default

    def flag(self, name: str, *, default: bool) -> bool:
        """true/false, yes/no, on/off or 1/0."""
        value = self.text(name, "").lower()
        if not value:
            return default
        if value in _TRUE or value in _FALSE:
            return value in _TRUE
        raise SettingError(f"{name} must be true or false, not {value!r}")

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number within bounds."""
        value = self.text(name, "")
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            raise SettingError(f"{name} must be a number, not {value!r}") from None
        if not low <= number <= high:
            raise SettingError(f"{name} must be between {low:g} and {high:g}, not {value}")
        return number

    def choice(self, name: str, default: str, *, among: tuple[str, ...]) -> str:
        """One of a few words, whatever its case, as ``among`` spells it."""
        value = self.text(name, default)
        for word in among:
            if word.lower() == value.lower():
                return word
        raise SettingError(f"{name} must be one of {', '.join(among)}, not {value!r}")

    def items(self, name: str, default: str = "") -> list[str]:
        """A comma-separated list."""
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]

    def url(self, name: str, default: str, *, schemes: tuple[str, ...]) -> str:
        """A URL of one of these schemes, or an empty default. Errors do not repeat it: it may hold a password."""
        value = self.text(name, default)
        if not value:
            return value
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise SettingError(f"{name} is not a URL") from None
        if parts.scheme not in schemes:
            raise SettingError(f"{name} must start with {' or '.join(s + '://' for s in schemes)}")
        if not parts.hostname and parts.scheme not in {"memory", "sqlite", "unix"}:
            raise SettingError(f"{name} names no host")
        return value
