"""Fixtures: the embedded system, one for these tests, and its desk in a real browser."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import ConsoleMessage, Error, Locator, Page, ViewportSize

from tests.support.system import EmbeddedSystem

NARROW = ViewportSize(width=390, height=844)


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedSystem]:
    """The whole system, started once; its account goes on from test to test."""
    with EmbeddedSystem() as system:
        yield system


@dataclass
class Desk:
    """The desk in a page, with what went wrong in it."""

    page: Page
    system: EmbeddedSystem
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", self._page_error)
        self.page.on("console", self._console)

    def _page_error(self, error: Error) -> None:
        self.problems.append(str(error))

    def _console(self, message: ConsoleMessage) -> None:
        # Failed requests are shown by the page itself; what the policy blocks and what throws is a defect.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def sign_in(self, password: str | None = None) -> None:
        """Open the site and fill in the form that it leads to."""
        self.page.goto(self.system.ready.url)
        self.page.get_by_label("User name").fill(self.system.ready.user)
        self.page.get_by_label("Password").fill(password or self.system.ready.password)
        self.page.get_by_role("button", name="Sign in").click()

    def open(self) -> "Desk":
        """Sign in and wait until prices flow."""
        self.sign_in()
        self.page.locator("#link[data-state=live]").wait_for()
        self.page.locator("#quote[data-stale=false]").wait_for()
        return self

    def rows(self, table: str) -> Locator:
        """The rows of positions, orders or operations."""
        return self.page.locator(f"#{table} tbody tr")

    def choose_symbol(self, symbol: str) -> None:
        """Another symbol, as a person types it."""
        self.page.locator("#symbol").fill(symbol)
        self.page.locator("#symbol").press("Enter")

    def bid(self) -> float:
        """The bid shown."""
        return float(self.page.locator("#bid").inner_text())

    def operation(self, what: str) -> Locator:
        """The newest operation whose description holds ``what``."""
        return self.rows("operations").filter(has_text=what).first


@pytest.fixture
def desk(page: Page, embedded: EmbeddedSystem) -> Iterator[Desk]:
    """The desk, not signed in yet; nothing may have gone wrong in it by the end."""
    shown = Desk(page, embedded)
    yield shown
    assert shown.problems == []
