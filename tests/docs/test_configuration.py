"""docs/configuration.md names every setting that is read from the environment, with its default."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, table_rows

PAGE = ROOT / "docs" / "configuration.md"
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_READERS = {"text", "flag", "number", "choice", "items", "url"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One call of ``env.text("NAME", default)`` and the like. ``default`` None: none was written as a constant."""

    name: str
    kind: str
    default: object
    is_required: bool


def _constant(call: ast.Call) -> object:
    given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "default")]
    return given[0].value if given and isinstance(given[0], ast.Constant) else None


def _site_settings() -> list[Setting]:
    tree = ast.parse((ROOT / "config" / "settings.py").read_text())
    found: list[Setting] = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _READERS):
            continue
        first = node.args[0] if node.args else None
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "env" and isinstance(first, ast.Constant):
            has_default = len(node.args) > 1 or any(keyword.arg == "default" for keyword in node.keywords)
            is_required = node.func.attr == "text" and not has_default
            found.append(Setting(str(first.value), node.func.attr, _constant(node), is_required))
    return found


def _names_in(path: Path) -> set[str]:
    """Upper-case texts that look like names of settings, where they are read from an environment."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "getenv"}:
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
    return {name for name in names if _NAME.fullmatch(name)}


def _documented() -> dict[str, list[str]]:
    """The rows of the settings' tables (name, meaning, default, read by), by name."""
    return {row[0].strip("`"): row for row in table_rows(PAGE) if len(row) == 4}


SITE = _site_settings()


def test_the_settings_are_found() -> None:
    assert {"INTERNAL_SHARED_SECRET", "AMQP_URL", "CTRADER_IDEMPOTENT_WRITES", "DJANGO_LOG_LEVEL"} <= {
        setting.name for setting in SITE
    }
    assert [setting.name for setting in SITE if setting.is_required] == ["INTERNAL_SHARED_SECRET"]


@pytest.mark.parametrize("setting", SITE, ids=lambda setting: setting.name)
def test_a_setting_of_the_site_is_documented_with_its_default(setting: Setting) -> None:
    row = _documented().get(setting.name)
    assert row is not None, f"{setting.name} is not in {PAGE.name}"
    assert "site" in row[3]
    said = row[2]
    if setting.is_required:
        assert "required" in said
    elif setting.kind == "flag":
        assert said == f"`{str(setting.default).lower()}`"
    elif setting.kind == "number":
        assert isinstance(setting.default, int | float)
        assert float(said.strip("`")) == float(setting.default)
    elif setting.default in ("", None) and setting.kind in {"text", "url", "items"}:
        # Computed (from another setting, or from a path), or empty: said in words.
        assert said == "empty" or any(word in said for word in ("derived", "the value of", "of the checkout"))
    else:
        assert said.startswith(f"`{setting.default}`")


def test_nothing_is_documented_that_nobody_reads() -> None:
    read = {setting.name for setting in SITE} | _names_in(ROOT / "microservice" / "settings.py")
    assert set(_documented()) - read == set()


def test_the_microservice_s_settings_are_documented() -> None:
    names = _names_in(ROOT / "microservice" / "settings.py")
    assert {"INTERNAL_SHARED_SECRET", "AMQP_ROUTING"} <= names
    documented = _documented()
    assert {name for name in names if "microservice" not in documented.get(name, ["", "", "", ""])[3]} == set()


def test_django_settings_without_a_name_in_the_environment_are_documented() -> None:
    """What the app asks of Django's settings by name is either filled from the environment or listed apart."""
    asked: set[str] = set()
    for path in sorted((ROOT / "ctrader_app").rglob("*.py")):
        asked |= set(re.findall(r"getattr\(\s*settings, \"([A-Z_]+)\"", path.read_text()))
    listed = {row[0].strip("`") for row in table_rows(PAGE)}
    assert {"AMQP_STATE_QUEUE_TYPE", "CTRADER_DESK_SYMBOLS"} <= asked
    assert asked - listed == set()


def test_the_example_names_only_settings_that_exist() -> None:
    text = (ROOT / ".env.example").read_text()
    names = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    servers = {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD"}
    assert servers <= names
    assert names - servers - set(_documented()) == set()
    assert re.findall(r"^\w*(?:SECRET|PASSWORD|KEY)\w*=(.+)$", text, re.MULTILINE) == []


def test_the_embedded_system_s_settings_are_listed() -> None:
    source = (ROOT / "config" / "embedded" / "state.py").read_text()
    section = PAGE.read_text().partition("## The embedded system")[2]
    names = set(re.findall(r"\"([A-Z]+_[A-Z_]+)\":", source))
    assert "EMBEDDED_TOKEN" in names
    assert {name for name in names if f"`{name}`" not in section} == set()
