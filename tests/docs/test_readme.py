"""What the README shows is run: the Python example against a venue, the HTTP example against the embedded system."""

import json
import re
import shlex
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest

from config.embedded.__main__ import _arguments
from ctrader_app.models import Operation, TradingAccount
from tests.docs.markdown import ROOT, code_blocks, pages
from tests.support.operations import Venue
from tests.support.system import EmbeddedSystem

README = ROOT / "README.md"
MOST_LINES = 20


def test_it_opens_with_the_two_commands() -> None:
    text = README.read_text()
    commands = re.findall(r"^    (\S+)$", text, re.MULTILINE)
    assert commands[:2] == ["script/server", "script/test"]
    assert text.index("script/server") < text.index("script/test") < text.index("## ")
    for command in commands[:2]:
        assert (ROOT / command).stat().st_mode & 0o111


def test_it_shows_the_desk() -> None:
    picture = ROOT / "docs" / "images" / "desk.png"
    assert f"]({picture.relative_to(ROOT)})" in README.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("celery_thread")
def test_the_python_example_trades(account: TradingAccount, venue: Venue, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = code_blocks(README, "python")
    assert len(example.splitlines()) <= MOST_LINES
    TradingAccount.objects.filter(pk=account.pk).update(name="Paper")
    exec(compile(example, str(README), "exec"), {"__name__": "example"})
    printed = capsys.readouterr().out
    assert "'symbol': 'EURUSD'" in printed
    assert re.search(r"^opened at 1\.\d+ closed at 1\.\d+$", printed, re.MULTILINE)
    done = Operation.objects.filter(account=account, state="succeeded").order_by("sequence")
    assert list(done.values_list("kind", flat=True)) == ["place", "modify", "close"]
    assert done[0].idempotency_key == str(done[0].pk)  # a fresh intent each time the example is run
    effects = venue.effects(account_id=str(account.pk))
    assert (effects["opens"], effects["modifications"], effects["closes"]) == (1, 1, 1)


@pytest.mark.usefixtures("celery_thread")
def test_the_python_example_tells_a_refusal(
    account: TradingAccount, venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = code_blocks(README, "python")
    TradingAccount.objects.filter(pk=account.pk).update(name="Paper", trading_enabled=False)
    exec(compile(example, str(README), "exec"), {"__name__": "example"})
    assert "not done, for certain: DENIED_ACCOUNT_STOPPED" in capsys.readouterr().out
    assert venue.effects(account_id=str(account.pk))["orders"] == 0


def test_the_http_example_trades() -> None:
    (example,) = code_blocks(README, "sh")
    with EmbeddedSystem() as system:
        ready = system.ready
        command = example.replace("http://127.0.0.1:8000/", ready.url)
        words = shlex.split(command.replace("UUID", ready.account).replace("TOKEN", ready.token))
        assert words[:3] == ["curl", "-X", "POST"]
        headers = dict(value.split(": ", 1) for flag, value in pairwise(words) if flag == "-H")
        body = words[words.index("-d") + 1]
        request = urllib.request.Request(words[3], body.encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            operation = json.load(answer)
        assert (operation["state"], operation["result"]["status"]) == ("succeeded", "filled")
        status, document = system.get("/api/openapi.json")
        assert (status, isinstance(document, dict)) == (200, True)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_other_examples_at_least_compile(page: Path) -> None:
    for example in code_blocks(page, "python"):
        compile(example, str(page), "exec")


def test_the_server_takes_the_arguments_that_are_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["script/server", "--port", "8000", "--state", ".state"])
    arguments = _arguments()
    assert (arguments.port, arguments.state) == (8000, Path(".state"))
    assert "script/server [--port 8000] [--state DIR]" in (ROOT / "docs" / "contract.md").read_text()
