"""Snapshot reads: TradingService beside a bare pooled session, and beside a client made for each call."""

import asyncio
import sys
import uuid

import httpx
import requests
from django.test.utils import override_settings

import benchmarks.site  # noqa: F401 - sets Django up for the imports below
from benchmarks.measure import Row, at_least, at_most, p50_side_by_side
from connectors.trading_service import TradingService
from ctrader_app.models import TradingAccount
from tests.settings import TEST_SHARED_SECRET
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess, base_environment, make_folder
from tests.support.system import http_answers
from tests.support.waiting import wait_until

SYMBOL = "EURUSD"


def measure() -> list[Row]:
    """Against the bundled microservice, which is a process of its own; its market stands still."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    environment = {**base_environment(), "INTERNAL_SHARED_SECRET": TEST_SHARED_SECRET, "AMQP_URL": "memory://"}
    folder = make_folder("bench")
    command = [sys.executable, "-m", "microservice", "--port", str(port), "--speed", "0"]
    command += ["--state", str(folder / "venue.sqlite3")]
    process = ManagedProcess("microservice", command, log_path=folder / "microservice.log", env=environment)
    with process, override_settings(CTRADER_API_BASE_URL=base_url):
        wait_until(lambda: http_answers(f"{base_url}/healthz"), 30, "the microservice answers")
        return _compare(base_url)


def _compare(base_url: str) -> list[Row]:
    account = TradingAccount(id=uuid.uuid4())
    service = TradingService(account)
    service.connect_sync()
    url = f"{base_url}/price?account_id={account.pk}&symbol={SYMBOL}"
    headers = {"Authorization": f"Bearer {TEST_SHARED_SECRET}"}
    session = requests.Session()
    session.trust_env = False
    session.headers.update(headers)

    def ours() -> object:
        return service.get_live_price_sync(SYMBOL)

    def bare() -> object:
        return session.get(url, timeout=(3, 10)).json()

    async def fetch() -> object:
        async with httpx.AsyncClient(headers=headers) as client:
            return (await client.get(url)).json()

    def client_per_call() -> object:
        return asyncio.run(fetch())

    calls = {"ours": ours, "bare": bare, "per call": client_per_call}
    p50 = p50_side_by_side(calls, {"ours": 300, "bare": 300, "per call": 15})
    ms = {name: seconds * 1000 for name, seconds in p50.items()}
    return [
        at_most("snapshot read, p50", ms["ours"], ms["bare"], "ms", "bare requests.Session GET", 1.5),
        at_least("snapshot reads a second", 1000 / ms["ours"], 1000 / ms["per call"], "/s", "a client per call", 20),
    ]
