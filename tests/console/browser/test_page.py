"""The console's page in a browser, before a server that pretends."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import pytest

from tests.console.browser.pretended import PretendedConsole, body_of
from tests.console.browser.scenes import call_row, figures_row, instance_row, mark_row, scene

playwright = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")
expect = playwright.expect
Page = Any

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = "<b>bold</b><img src=x onerror=window.hit=1><script>window.hit=1</script>"

ROW_IN_SIGHT = """() => {
  const { x, y } = document.querySelector(".grid").getBoundingClientRect();
  return document.elementFromPoint(x + 60, y + 150).closest("[data-id]").dataset.id;
}"""


KEYS_AT_ONCE = """keys => {
  const how = { bubbles: true, cancelable: true };
  for (const key of keys)
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, ...how }));
  return document.activeElement.id || document.activeElement.getAttribute("role");
}"""


async def open_page(page: Page, server: PretendedConsole, view: str = "") -> None:
    """Open a view, and wait until it has been told what there is."""
    await page.goto(f"{server.url}#/{view}")
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    shown = view.partition("/")[0] or "functions"
    await expect(page.locator("main")).to_have_class(f"view-{shown}")


async def test_an_instance_fills_freezes_thaws_and_goes_as_it_happens(
    page: Page, pretended: PretendedConsole
) -> None:
    """Its tile says the state in a word, and what happened stands beside it."""
    await open_page(page, pretended)
    tile = page.get_by_role("button", name="c-1")
    await expect(tile).to_contain_text("12 of 20 in flight")
    row = instance_row(0, "thumbnails", time.time())
    for state, in_flight in (("busy", 20), ("frozen", 0), ("ready", 0)):
        pretended.tell(instances=[{**row, "state": state, "in_flight": in_flight}])
        await expect(tile).to_contain_text(f"{state}{in_flight} of 20 in flight")
    pretended.tell(gone=[row["id"]], marks=[mark_row(9, time.time(), "thumbnails")])
    await expect(tile).to_have_count(0)
    await expect(page.get_by_text("No instance runs")).to_be_visible()
    newest = page.get_by_label("What happened, newest first").locator("li").first
    await expect(newest).to_contain_text("c-10: freeze")


async def test_what_contains_markup_is_text(page: Page, pretended: PretendedConsole) -> None:
    """In ids, errors, events, results, lines, failures and reports; nothing of it is run."""
    failure = {"type": MARKUP, "message": MARKUP, "trace": [MARKUP]}
    pretended.snapshot["calls"][0] |= {"error": MARKUP, "status": "error"}
    pretended.snapshot["functions"][0] |= {"name": MARKUP}
    pretended.details["call-0"] = {
        "event": body_of(MARKUP.encode()),
        "result": body_of(MARKUP.encode()),
        "lines": [{"t": 1.0, "text": MARKUP, "level": MARKUP}],
        "failure": failure,
        "reports": [{"kind": MARKUP, "text": MARKUP}],
        "headers": {"X-Markup": MARKUP},
    }
    await open_page(page, pretended)
    await expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    await page.keyboard.press("2")
    await page.get_by_role("row").nth(1).click()
    for title in ("The event", "The result", "Trace", "Its log lines"):
        await expect(page.get_by_label(title, exact=True)).to_contain_text(MARKUP)
    assert await page.evaluate("window.hit") is None
    assert await page.locator("main b:text-is('bold'), main img, main script").count() == 0


async def test_an_event_of_lists_in_lists_is_shown_as_text(
    page: Page, pretended: PretendedConsole
) -> None:
    """With indents it would be of gigabytes."""
    pretended.details["call-0"] = {"event": body_of(b"[" * 5000 + b"]" * 5000)}
    await open_page(page, pretended, "calls/call-0")
    await expect(page.get_by_label("The event", exact=True)).to_contain_text("[[[[")
    forms = page.get_by_role("group", name="How the event is shown").get_by_role("button")
    await expect(forms).to_have_text(["Text", "Hex"])


async def test_arrows_move_through_the_seconds_of_a_chart(
    page: Page, pretended: PretendedConsole
) -> None:
    """All charts tell of the same second then."""
    await open_page(page, pretended, "charts")
    slider = page.get_by_role("slider", name="Calls per second")
    await slider.focus()
    await page.keyboard.press("Home")
    await expect(slider).to_have_attribute("aria-valuenow", "0")
    await page.keyboard.press("ArrowRight")
    await expect(slider).to_have_attribute("aria-valuenow", "1")
    other = page.get_by_role("slider", name="Durations")
    await expect(other).to_have_attribute("aria-valuenow", "1")
    await expect(other).to_have_attribute(
        "aria-valuetext", re.compile(r"\d\d:\d\d:\d\d: p50 \d+ ms")
    )


async def test_a_burst_of_ten_thousand_calls_is_a_bounded_list(
    page: Page, pretended: PretendedConsole
) -> None:
    """The newest stand first; only rows in sight are elements; those read stay in sight."""
    pretended.snapshot = scene(1, 0)  # no older ones, which the server would find whenever asked
    await open_page(page, pretended, "calls")
    now = time.time()
    for batch in range(50):
        fresh = [
            call_row(1000 + batch * 200 + n, "thumbnails", now + batch + n / 200)
            for n in range(200)
        ]
        pretended.tell(calls=fresh)
    rows = page.locator(".grid-item")
    await expect(page.get_by_text("2,000 calls.")).to_be_visible()
    await expect(rows.first).to_be_visible()
    assert await rows.count() < 100
    newest = page.locator(".grid-item[aria-rowindex='2'] .cell-id")
    await expect(newest).to_have_text("call-10999")
    await page.locator(".grid").evaluate("node => { node.scrollTop = 20000 }")
    await expect(newest).to_have_count(0)
    read = await page.evaluate(ROW_IN_SIGHT)
    row = page.locator(f"[data-id='{read}']")
    place = int(await row.get_attribute("aria-rowindex"))
    pretended.tell(calls=[call_row(20000, "thumbnails", now + 999)])
    await expect(row).to_have_attribute("aria-rowindex", str(place + 1))
    assert await page.evaluate(ROW_IN_SIGHT) == read


async def test_a_list_that_is_held_shows_what_came_meanwhile_when_it_is_let_go(
    page: Page, pretended: PretendedConsole
) -> None:
    """While it is held, nothing moves."""
    await open_page(page, pretended, "calls")
    await expect(page.locator(".grid-item")).to_have_count(3)
    await page.get_by_role("button", name="Hold").click()
    pretended.tell(calls=[call_row(77, "thumbnails", time.time())], skipped=5)
    await expect(page.get_by_text("5 came too fast to be listed live")).to_be_visible()
    assert await page.locator(".grid-item").count() == 3
    await page.get_by_role("button", name="Hold").click()
    await expect(page.locator(".grid-item").filter(has_text="call-77")).to_be_visible()


async def test_calls_are_filtered_by_function_status_and_text(
    page: Page, pretended: PretendedConsole
) -> None:
    """The text is looked for in events, results and lines, too, which the server does."""
    pretended.snapshot = scene(1, 12)
    pretended.details["call-7"] = {"lines": [{"t": 1.0, "text": "needle 1742"}]}
    await open_page(page, pretended, "calls")
    ids = page.locator(".grid-item .cell-id")
    await expect(ids).to_have_count(12)
    await page.get_by_label("Status").select_option("error")
    await expect(ids).to_have_text(["call-3", "call-9"])
    await page.get_by_label("Status").select_option("")
    await page.keyboard.press("Escape")
    await page.locator("body").press("/")
    await page.keyboard.type("needle 1742")
    await expect(ids).to_have_text(["call-7"])
    await page.keyboard.press("Escape")
    await expect(ids).to_have_count(12)


async def test_an_answer_to_a_text_that_is_no_more_adds_no_call(
    page: Page, pretended: PretendedConsole
) -> None:
    """Who types on while the server looks for the first letters sees what fits the whole text."""
    pretended.snapshot = scene(1, 12)
    pretended.details["call-7"] = {"lines": [{"t": 1.0, "text": "needle 1742"}]}
    await open_page(page, pretended, "calls")
    ids = page.locator(".grid-item .cell-id")
    await expect(ids).to_have_count(12)
    pretended.may_answer.clear()
    await page.get_by_label("Text").fill("call")
    assert await pretended.asked.get() == "call"
    await page.get_by_label("Text").fill("needle 1742")
    pretended.may_answer.set()
    assert await pretended.asked.get() == "needle 1742"
    await expect(ids).to_have_text(["call-7"])


async def test_keys_that_follow_at_once_belong_to_what_the_key_before_has_shown(
    page: Page, pretended: PretendedConsole
) -> None:
    """No frame has to be drawn between two keys: who types fast loses none of them."""
    await open_page(page, pretended)
    assert await page.evaluate(KEYS_AT_ONCE, ["/"]) == "filter-text"
    await page.get_by_label("Text").press("Escape")
    await page.evaluate(KEYS_AT_ONCE, ["1", "2", "j", "j"])
    await expect(page.get_by_role("grid")).to_be_focused()
    assert await page.evaluate(KEYS_AT_ONCE, ["Enter", "Escape"]) == "grid"
    await expect(page.locator(".calls-panel")).to_be_hidden()


async def test_a_call_is_read_and_sent_again_by_keys_alone(
    page: Page, pretended: PretendedConsole
) -> None:
    """j and k move through the calls, Enter opens one, Esc leads back to the list."""
    pretended.details["call-1"] = {"event": body_of(b'{"n":12345678901234567890}')}
    await open_page(page, pretended)
    await page.keyboard.press("2")
    await expect(page.get_by_role("gridcell", name="call-1", exact=True)).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Call call-1")).to_be_visible()
    # A number that a double cannot hold is shown as it came.
    await expect(page.get_by_label("The event", exact=True)).to_have_text(
        '{\n  "n": 12345678901234567890\n}'
    )
    await page.get_by_role("button", name="Send again").press("Enter")
    await expect(page.get_by_role("link", name="see the new call")).to_be_visible()
    assert pretended.posted[-1][0] == "calls/call-1/again"
    await page.get_by_role("button", name="Copy as curl").press("Enter")
    await expect(page.get_by_text("Copied as curl.")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == "curl of call-1"
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("grid")).to_be_focused()


async def test_a_call_that_ends_while_it_is_asked_for_is_shown_as_ended(
    page: Page, pretended: PretendedConsole
) -> None:
    """What the page was told meanwhile is newer than the answer."""
    pretended.snapshot = scene(1, 6)
    pretended.may_answer.clear()
    await open_page(page, pretended, "calls/call-4")
    for _ in ("for the view", "for the snapshot"):
        assert await pretended.asked.get() == "call-4"
    calls = pretended.snapshot["calls"]
    assert calls[4]["status"] == "running"
    calls[4] = {**calls[4], "status": "ok"}
    pretended.tell(calls=[calls[4]])
    await expect(page.locator(".grid-item[data-status='running']")).to_have_count(0)
    pretended.may_answer.set()
    await expect(page.locator(".call-summary .status")).to_have_text("ok")


async def test_an_event_is_checked_in_place_and_sent(
    page: Page, pretended: PretendedConsole
) -> None:
    """The line that is wrong is marked, and its message leads there."""
    wrong = {"path": "events.0", "line": 3, "column": 5, "message": "'oss' is missing"}
    pretended.answers["check"] = {"errors": [wrong]}
    await open_page(page, pretended, "send")
    await page.get_by_label("Sample").select_option("oss.put")
    await page.get_by_role("button", name="Line 3, column 5").click()
    await expect(page.locator(".editor-lines .wrong")).to_have_text("3")
    area = page.get_by_label("Event", exact=True)
    await expect(area).to_be_focused()
    assert await area.evaluate("node => node.selectionStart") == 20
    pretended.answers["check"] = {"errors": []}
    await area.fill('{"n": 1}')
    await expect(page.get_by_text("Fits the type OssEvent.")).to_be_visible()
    await page.get_by_label("How many").fill("50")
    await page.get_by_label("At once").fill("10")
    await area.press("Control+Enter")
    await expect(page.get_by_text("Sent 50 events.")).to_be_visible()
    path, body = pretended.posted[-1]
    assert (path, body["event"], body["count"], body["at_once"]) == (
        "send",
        {"text": '{"n": 1}'},
        50,
        10,
    )
    row = pretended.snapshot["functions"][0]
    pretended.tell(functions=[{**row, "calls": row["calls"] + 50, "errors": row["errors"] + 2}])
    await expect(page.get_by_text("50 of 50 calls of thumbnails ended: 2 errors")).to_be_visible()


async def test_a_page_left_open_over_a_restart_comes_back(
    page: Page, pretended: PretendedConsole
) -> None:
    """It says so meanwhile, keeps what is being written, and shows what the new server says."""
    await open_page(page, pretended, "send")
    await page.get_by_label("Event", exact=True).fill("half a thought")
    await pretended.stop()
    await expect(page.get_by_text("The server does not answer")).to_be_visible()
    await expect(page.locator("#connection")).to_have_text("Reconnecting")
    pretended.snapshot = scene(1, 3, "renamed")
    await pretended.start()
    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.get_by_label("Event", exact=True)).to_have_value("half a thought")
    await expect(page.get_by_label("Function")).to_have_value("renamed")


async def test_a_page_whose_token_is_not_the_servers_says_what_to_do(
    page: Page, pretended: PretendedConsole
) -> None:
    """In the words of the server; it comes back if it is let in."""
    pretended.refuses = True
    await page.goto(pretended.url)
    await expect(page.get_by_text("open the address as it was printed")).to_be_visible()
    pretended.refuses = False
    await expect(page.locator("#connection")).to_have_text("Live")


async def test_what_a_source_does_not_offer_is_not_shown(
    page: Page, pretended: PretendedConsole
) -> None:
    """One running service has no tasks, no timers and no faults that can be made."""
    pretended.snapshot |= {"source": "service", "offers": ["instances", "send"], "tasks": []}
    await open_page(page, pretended, "send")
    views = page.get_by_role("navigation", name="Views").get_by_role("link")
    await expect(views.filter(visible=True)).to_have_text(["Functions", "Calls", "Charts", "Send"])
    await expect(page.get_by_role("heading", name="Timers")).to_be_hidden()
    await expect(page.get_by_label("asynchronously")).to_be_hidden()


async def test_a_fault_is_switched_on_and_off(page: Page, pretended: PretendedConsole) -> None:
    """What the server refuses is told in its words."""
    on = {"initializer_delay": 5, "clock_skew": 0, "filled": {}}
    pretended.answers["faults"] = {"faults": on}
    await open_page(page, pretended, "faults")
    await page.get_by_role("button", name="Delay", exact=True).click()
    await page.get_by_role("button", name="Switch off: Initializers take 5 s longer").click()
    await expect(page.get_by_text("Switched off.")).to_be_visible()
    assert pretended.posted[-1] == ("faults", {"kind": "initializer_delay", "seconds": 0})
    pretended.answers["faults"] = {"code": 409, "error": "c-1 has no processes yet"}
    await page.get_by_role("button", name="Freeze", exact=True).click()
    await expect(page.get_by_text("c-1 has no processes yet")).to_be_visible()


HEAP_GROWTH = 8 * 1024 * 1024
"""Bytes that a page may have more after many calls than after few."""


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_page_does_not_grow_with_the_calls_that_it_is_told_of(
    page: Page, pretended: PretendedConsole
) -> None:
    """100,000 more, with their seconds, marks and tasks, leave it as large as it was."""
    await open_page(page, pretended, "calls")
    session = await page.context.new_cdp_session(page)
    begin = time.time()

    async def heap_after(batches: range) -> float:
        for batch in batches:
            t = begin + batch
            fresh = [call_row(1000 + batch * 200 + n, "thumbnails", t) for n in range(200)]
            marks = [{**mark_row(batch, t, "thumbnails"), "n": batch + 100}]
            figures = [figures_row("thumbnails", int(t), batch)]
            pretended.tell(calls=fresh, marks=marks, figures=figures)
            if batch % 20 == 19:
                newest = page.locator("[aria-rowindex='2'] .cell-id")
                await expect(newest).to_have_text(f"call-{1000 + batch * 200 + 199}")
        await session.send("HeapProfiler.collectGarbage")
        return float((await session.send("Runtime.getHeapUsage"))["usedSize"])

    few = await heap_after(range(1000))
    many = await heap_after(range(1000, 1500))
    sys.stdout.write(f"the page's heap: {few / 2**20:.1f} MiB, then {many / 2**20:.1f} MiB\n")
    assert many < few + HEAP_GROWTH
