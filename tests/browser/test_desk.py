"""The desk in a real browser, on the embedded system: what a person sees and does."""

import json
import re
from typing import Any

from playwright.sync_api import Page, Route, ViewportSize, WebSocketRoute, expect

from tests.browser.conftest import NARROW, Desk

UNKNOWN = "\N{EN DASH}"
FLOATING = re.compile(r"^\d+\.\d+$")


def test_only_the_right_password_opens_the_desk(desk: Desk) -> None:
    desk.sign_in(password="wrong")
    expect(desk.page.get_by_role("alert")).to_contain_text("do not match")
    desk.sign_in()
    expect(desk.page.locator("#desk")).to_be_visible()
    desk.page.get_by_role("button", name="Sign out").click()
    expect(desk.page.get_by_role("button", name="Sign in")).to_be_visible()


def test_the_price_moves_and_the_chart_lives(desk: Desk) -> None:
    page = desk.open().page
    before = page.locator("#bid").inner_text()
    assert FLOATING.match(before)
    expect(page.locator("#bid")).not_to_have_text(before)
    assert float(page.locator("#ask").inner_text()) > float(page.locator("#bid").inner_text())

    chart = page.locator("#chart")
    expect(chart).to_have_attribute("data-bars", re.compile(r"^[1-9]\d\d$"))
    expect(chart).to_have_attribute("data-live", re.compile(r"^[1-9]"))
    assert drawn_colours(page) > 3

    page.get_by_role("button", name="M5", exact=True).click()
    expect(page.get_by_role("button", name="M5", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(chart).to_have_attribute("data-live", re.compile(r"^[1-9]"))
    assert page.locator("[data-figure=balance]").inner_text() != UNKNOWN


def drawn_colours(page: Page) -> int:
    """How many colours the largest canvas of the chart holds: an empty one has one or two."""
    count: int = page.evaluate(
        """() => {
            const all = [...document.querySelectorAll("#chart canvas")];
            const canvas = all.sort((a, b) => b.width * b.height - a.width * a.height)[0];
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const seen = new Set(new Uint32Array(data.buffer));
            return seen.size;
        }"""
    )
    return count


def test_another_symbol_with_its_own_digits(desk: Desk) -> None:
    desk.open().choose_symbol("USDJPY")
    expect(desk.page.locator("#bid")).to_have_text(re.compile(r"^\d{2,3}\.\d{3}$"))
    expect(desk.page.locator("#quote")).to_have_attribute("data-stale", "false")
    desk.choose_symbol("NOSUCH")
    expect(desk.page.locator("#chart-note")).to_contain_text("NOSUCH")
    expect(desk.page.locator("#bid")).to_have_text(UNKNOWN)


def test_a_position_from_the_order_to_its_close(desk: Desk) -> None:
    page = desk.open().page
    desk.choose_symbol("GBPUSD")
    page.locator("#quote[data-stale=false]").wait_for()
    page.get_by_label("Lots").first.fill("0.20")
    page.get_by_role("button", name="Buy").click()
    operation = desk.operation("BUY 0.2 GBPUSD at market")
    expect(operation.locator(".state")).to_have_text("succeeded")
    expect(operation).to_contain_text("Order filled")
    position = desk.rows("positions").filter(has_text="GBPUSD")
    expect(position).to_contain_text("BUY")
    expect(position.locator("[data-label=Lots]")).to_have_text("0.20")

    shown = position.locator("[data-label=Now]").inner_text()
    expect(position.locator("[data-label=Now]")).not_to_have_text(shown)

    stop = f"{desk.bid() - 0.05:.5f}"
    position.get_by_role("button", name="Protect").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Stop loss").fill(stop)
    dialog.get_by_role("button", name="Set").click()
    expect(position.locator("[data-label='Stop loss']")).to_have_text(stop)
    expect(position.locator("[data-label='Take profit']")).to_have_text(UNKNOWN)

    position.get_by_role("button", name="Close").click()
    dialog.get_by_label("Lots").fill("0.05")
    dialog.get_by_role("button", name="Close").click()
    expect(position.locator("[data-label=Lots]")).to_have_text("0.15")
    expect(position.locator("[data-label='Stop loss']")).to_have_text(stop)

    position.get_by_role("button", name="Close").click()
    dialog.get_by_role("button", name="Close").click()
    expect(position).to_have_count(0)
    expect(desk.operation("Close all of").locator(".state")).to_have_text("succeeded")


def test_a_limit_order_is_placed_and_cancelled(desk: Desk) -> None:
    page = desk.open().page
    page.get_by_label("Type").select_option("LIMIT")
    price = f"{desk.bid() * 0.9:.5f}"
    page.get_by_label("Price").fill(price)
    page.get_by_label("Lots").first.fill("0,10")
    page.get_by_role("button", name="Buy").click()
    order = desk.rows("orders").filter(has_text=price)
    expect(order).to_contain_text("BUY LIMIT")
    order.get_by_role("button", name="Cancel").click()
    expect(order).to_have_count(0)
    expect(desk.operation("Cancel order").locator(".state")).to_have_text("succeeded")


def test_a_refusal_is_shown_with_its_code(desk: Desk) -> None:
    page = desk.open().page
    page.get_by_label("Lots").first.fill("0.10")
    page.locator("#ticket").get_by_label("Stop loss").fill(f"{desk.bid() * 1.1:.5f}")
    page.get_by_role("button", name="Buy").click()
    operation = desk.operation("BUY 0.1 EURUSD at market")
    expect(operation.locator(".state")).to_have_text("refused")
    expect(operation).to_contain_text(re.compile(r"[A-Z]+_[A-Z_]+: \w"))
    expect(page.locator(".notice[data-tone=bad]").first).to_contain_text("refused")
    expect(page.get_by_role("button", name="Buy")).to_be_enabled()


def test_an_outcome_that_overtakes_its_answer_is_told_all_the_same(desk: Desk) -> None:
    def answer_late(route: Route) -> None:
        answer = route.fetch()
        expect(desk.operation("BUY 0.13 EURUSD").locator(".state")).to_have_text("refused")
        route.fulfill(response=answer)

    page = desk.open().page
    page.route("**/trades", answer_late)
    page.get_by_label("Lots").first.fill("0.13")
    page.locator("#ticket").get_by_label("Take profit").fill("0.5")
    page.get_by_role("button", name="Buy").click()
    expect(page.locator(".notice[data-tone=bad]")).to_contain_text("refused")
    expect(desk.operation("BUY 0.13 EURUSD").locator(".state")).to_have_text("refused")


def test_an_account_that_is_not_ones_own_shows_nothing_and_says_so(desk: Desk) -> None:
    def add_a_foreign_one(route: Route) -> None:
        accounts = route.fetch().json()
        foreign = {**accounts[0], "id": "00000000-0000-4000-8000-000000000000", "name": "Not mine"}
        route.fulfill(json=[*accounts, foreign])

    page = desk.page
    page.route("**/api/accounts", add_a_foreign_one)
    desk.open()
    page.get_by_role("combobox", name="Account").select_option("Not mine")
    expect(page.get_by_role("alert")).to_contain_text("not yours")
    expect(page.locator("#positions-note")).to_contain_text("Not known")
    expect(page.locator("[data-figure=balance]")).to_have_text(UNKNOWN)
    expect(page.locator("#link")).to_have_text("closed")
    page.get_by_role("combobox", name="Account").select_option(index=0)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("[data-figure=balance]")).not_to_have_text(UNKNOWN)


def test_what_cannot_be_an_order_is_said_at_once(desk: Desk) -> None:
    page = desk.open().page
    page.get_by_label("Lots").first.fill("a lot")
    page.get_by_role("button", name="Sell").click()
    expect(page.locator(".notice[data-tone=bad]")).to_contain_text("INVALID_REQUEST")


def body_of(route: Route) -> dict[str, Any]:
    """The JSON body of a write."""
    body = route.request.post_data_json
    assert isinstance(body, dict)
    return body


def test_a_press_whose_answer_is_lost_is_sent_again_under_its_key(desk: Desk) -> None:
    keys: list[str] = []
    ttls: list[float] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        ttls.append(body_of(route)["ttl"])
        if len(keys) > 1:
            route.continue_()
            return
        expect(desk.page.get_by_role("button", name="Sell")).to_be_disabled()
        route.fetch()
        route.abort("connectionreset")

    page = desk.open().page
    page.route("**/trades", lose_the_first_answer)
    desk.choose_symbol("XAUUSD")
    page.locator("#quote[data-stale=false]").wait_for()
    page.get_by_label("Lots").first.fill("0.07")
    page.get_by_role("button", name="Sell").click()
    position = desk.rows("positions").filter(has_text="XAUUSD")
    expect(position).to_have_count(1)
    expect(page.get_by_role("button", name="Sell")).to_be_enabled()
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert 10 >= ttls[0] > ttls[1] >= 1  # the age of the press counts, and another ttl is the same intent still
    expect(desk.rows("operations").filter(has_text="SELL 0.07 XAUUSD")).to_have_count(1)
    page.get_by_role("button", name="Sell").click()
    expect(position).to_have_count(2)
    assert keys[2] != keys[0]
    assert ttls[2] > ttls[1]
    for _ in range(2):
        left = position.count()
        position.first.get_by_role("button", name="Close").click()
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        expect(position).to_have_count(left - 1)


def test_a_refusal_of_a_further_attempt_does_not_deny_the_first(desk: Desk) -> None:
    """The first one arrived and its answer was lost; the second is one too many: nobody says "not sent"."""
    attempts = 0

    def lose_then_throttle(route: Route) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            route.fetch()
            route.abort("connectionreset")
        elif attempts == 2:
            route.fulfill(status=429, json={"error": {"code": "THROTTLED", "message": "Nothing was recorded."}})
        else:
            route.continue_()

    page = desk.open().page
    page.route("**/trades", lose_then_throttle)
    page.get_by_label("Lots").first.fill("0.09")
    page.get_by_role("button", name="Sell").click()
    expect(desk.rows("operations").filter(has_text="SELL 0.09 EURUSD")).to_have_count(1)
    expect(page.get_by_role("button", name="Sell")).to_be_enabled()
    expect(page.locator(".notice[data-tone=good]")).to_contain_text("SELL 0.09 EURUSD")
    assert attempts == 3
    assert "not sent" not in page.locator("body").inner_text()


def test_a_first_refusal_says_that_nothing_was_sent(desk: Desk) -> None:
    refusal = {"error": {"code": "THROTTLED", "message": "Nothing was recorded."}}
    page = desk.open().page
    page.route("**/trades", lambda route: route.fulfill(status=429, json=refusal))
    page.get_by_role("button", name="Sell").click()
    expect(page.locator(".notice[data-tone=bad]")).to_contain_text("not sent")


def test_an_order_that_does_not_get_through_is_given_up_and_never_filled_late(desk: Desk) -> None:
    ttls: list[float] = []

    def unreachable(route: Route) -> None:
        ttls.append(body_of(route)["ttl"])
        route.abort("connectionrefused")

    page = desk.open().page
    page.route("**/trades", unreachable)
    page.get_by_label("Lots").first.fill("0.11")
    buy = page.get_by_role("button", name="Buy")
    buy.click()
    told = page.locator(".notice[data-tone=doubt]")
    expect(told).to_contain_text("not confirmed", timeout=20_000)
    expect(told).to_contain_text("look at the list of operations")
    assert ttls[0] > 9
    assert ttls == sorted(ttls, reverse=True)
    assert 1 <= ttls[-1] <= 3  # tried until the end, and every attempt told what was left
    expect(buy).to_be_disabled()

    sent = len(ttls)
    told.get_by_role("button", name="Understood").click()
    expect(buy).to_be_enabled()
    assert len(ttls) == sent
    expect(desk.rows("operations").filter(has_text="BUY 0.11 EURUSD")).to_have_count(0)


def test_an_order_is_not_sent_again_by_a_computer_that_slept_over_it(desk: Desk) -> None:
    attempts = 0

    def unreachable(route: Route) -> None:
        nonlocal attempts
        attempts += 1
        page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3_600_000; }")
        route.abort("connectionrefused")

    page = desk.open().page
    page.route("**/trades", unreachable)
    page.get_by_role("button", name="Buy").click()
    expect(page.locator(".notice[data-tone=doubt]")).to_contain_text("not confirmed", timeout=3000)
    assert attempts == 1


def test_only_the_symbol_whose_live_price_is_shown_can_be_traded(desk: Desk) -> None:
    muted = True
    symbols: list[str] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: None if muted and "GBPUSD" in socket.url else socket.send(message))

    def note_symbol(route: Route) -> None:
        symbols.append(body_of(route)["symbol"])
        route.continue_()

    page = desk.page
    page.route_web_socket(re.compile(r"/ws/prices/"), between)
    page.route("**/trades", note_symbol)
    desk.open()
    buy, sell = page.get_by_role("button", name="Buy EURUSD"), page.get_by_role("button", name="Sell EURUSD")
    expect(buy).to_be_enabled()
    expect(sell).to_be_enabled()

    page.locator("#symbol").fill("GBPUSD")
    expect(buy).to_be_disabled()
    expect(sell).to_be_disabled()
    expect(page.locator("#ticket-blocked")).to_contain_text("EURUSD: press Enter")
    page.locator("#symbol").fill("EURUSD")
    expect(buy).to_be_enabled()

    desk.choose_symbol("GBPUSD")
    buy, sell = page.get_by_role("button", name="Buy GBPUSD"), page.get_by_role("button", name="Sell GBPUSD")
    expect(page.locator("#bid")).to_have_text(FLOATING)  # asked for: not live yet
    expect(buy).to_be_disabled()
    expect(sell).to_be_disabled()
    expect(page.locator("#ticket-blocked")).to_contain_text("Waiting for a live price of GBPUSD")
    muted = False
    expect(buy).to_be_enabled()
    expect(page.locator("#ticket-blocked")).to_be_empty()

    page.get_by_label("Lots").first.fill("0.12")
    page.locator("#ticket").get_by_label("Take profit").fill("0.5")
    buy.click()
    expect(desk.operation("BUY 0.12 GBPUSD").locator(".state")).to_have_text("refused")
    assert symbols == ["GBPUSD"]


def test_a_notice_leaves_the_buttons_of_the_rows_free(desk: Desk) -> None:
    page = desk.open().page
    page.get_by_label("Type").select_option("LIMIT")
    price = f"{desk.bid() * 0.8:.5f}"
    page.get_by_label("Price").fill(price)
    page.get_by_role("button", name="Buy").click()
    cancel = desk.rows("orders").filter(has_text=price).get_by_role("button", name="Cancel")
    told = page.locator(".notice[data-tone=good]").first
    for size in (NARROW, ViewportSize(width=821, height=600), ViewportSize(width=1280, height=720)):
        page.set_viewport_size(size)
        notice, button = told.bounding_box(), cancel.bounding_box()
        assert notice
        assert button
        assert 0 <= notice["x"] < notice["x"] + notice["width"] < button["x"]  # beside it, wherever the page stands
    cancel.click()
    expect(cancel).to_have_count(0)


def test_a_silent_price_is_marked_and_a_lost_socket_comes_back(desk: Desk) -> None:
    sockets: list[WebSocketRoute] = []
    muted = False

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: None if muted else socket.send(message))
        sockets.append(socket)

    page = desk.page
    page.route_web_socket(re.compile(r"/ws/prices/"), between)
    desk.open()
    expect(page.locator("#stale")).to_be_hidden()
    muted = True
    expect(page.locator("#stale")).to_have_text("stale price", timeout=8000)
    said = {"symbol": "EURUSD", "bid": 1.2345, "ask": 1.2347, "time": None, "timestamp": None}
    sockets[-1].send(json.dumps({"type": "live_price", "data": {**said, "age_s": 20.0, "stale": True}}))
    expect(page.locator("#stale")).to_have_text(re.compile(r"^stale: nothing since \d\d?:\d\d:\d\d"))
    expect(page.locator("#quote")).to_have_attribute("data-stale", "true")
    expect(page.locator("#bid")).to_have_text("1.23450")
    nothing = {"symbol": "EURUSD", "bid": None, "ask": None, "time": None, "timestamp": None}
    sockets[-1].send(json.dumps({"type": "live_price", "data": {**nothing, "age_s": 200_000.0, "stale": True}}))
    expect(page.locator("#stale")).to_have_text(re.compile(r"^stale: nothing since \d+/\d+/\d+ "))
    expect(page.locator("#bid")).to_have_text("1.23450")
    muted = False
    expect(page.locator("#stale")).to_be_hidden()

    sockets[-1].close(code=1012, reason="restarting")
    expect(page.locator("#stale")).to_have_text("not connected")
    expect(page.locator("#stale")).to_be_hidden()
    assert len(sockets) >= 2


def test_it_fits_a_phone(desk: Desk) -> None:
    desk.page.set_viewport_size(NARROW)
    page = desk.open().page
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= NARROW["width"]
    expect(page.get_by_role("button", name="Buy")).to_be_visible()
