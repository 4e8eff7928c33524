"""Commands beside the running embedded system."""

import subprocess
import sys
from pathlib import Path

from tests.support.processes import REPOSITORY, base_environment
from tests.support.system import EmbeddedSystem

TRADE = """
from connectors.trading_service import TradingService
from ctrader_app.models import TradingAccount
service = TradingService(TradingAccount.objects.get(name="Paper"))
trade = service.place_trade_sync("EURUSD", 0.1, "BUY")
print("closed", service.close_position_sync(trade["opened_position_ticket"], None, "EURUSD")["retcode"])
"""


def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "config.embedded.manage", *arguments],
        cwd=REPOSITORY,
        env=base_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_shell_beside_the_server_trades_at_once(embedded_system: EmbeddedSystem) -> None:
    ended = manage("--state", str(embedded_system.state), "shell", "-c", TRADE)
    assert ended.returncode == 0, ended.stderr
    assert "closed 10009" in ended.stdout


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        ended = manage("--state", str(folder), "check")
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
        assert "script/server" in ended.stderr
