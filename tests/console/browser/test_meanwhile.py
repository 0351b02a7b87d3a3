"""The console's page when something else happens before it has drawn, or before an answer comes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.console.browser.pretended import PretendedConsole, body_of
from tests.console.browser.scenes import call_row, function_row, instance_row, mark_row, scene
from tests.console.browser.test_page import open_page

playwright = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")
expect = playwright.expect
Page = Any

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

LINK_THEN_KEY = """() => {
  document.querySelector('a[href="#/calls"]').click();
  const how = { key: "j", bubbles: true, cancelable: true };
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", how));
}"""

SCROLL_THEN_CALL = """async call => {
  const { store } = await import("./store.js");
  const grid = document.querySelector(".grid");
  const height = grid.querySelector(".grid-item").getBoundingClientRect().height;
  const frame = () => new Promise(requestAnimationFrame);
  grid.scrollTop = 100 * height;
  await frame();
  await frame();
  grid.scrollTop = 99 * height;
  store.change({ now: Date.now() / 1000, calls: [call] });
  await frame();
  return grid.scrollTop / height;
}"""

MARKS = """async () => {
  const { store } = await import("./store.js");
  return store.marks.map(mark => mark.n);
}"""


async def test_a_key_that_follows_a_link_at_once_belongs_to_where_the_link_leads(
    page: Page, pretended: PretendedConsole
) -> None:
    """The browser tells of the new address a moment later."""
    await open_page(page, pretended)
    await page.evaluate(LINK_THEN_KEY)
    await expect(page.get_by_role("grid")).to_be_focused()


async def test_calls_that_end_before_the_answer_to_their_sending_are_counted(
    page: Page, pretended: PretendedConsole
) -> None:
    """The stream of changes and the answer are two connections: either may come first."""
    row = pretended.snapshot["functions"][0]
    await open_page(page, pretended, "send")
    await page.get_by_label("How many").fill("50")
    pretended.may_answer.clear()
    await page.get_by_label("Event", exact=True).press("Control+Enter")
    assert await pretended.asked.get() == "send"
    ended = {**row, "calls": row["calls"] + 30}
    pretended.tell(functions=[ended, function_row("another")])
    await expect(page.get_by_label("Function").locator("option")).to_have_count(2)
    await page.get_by_label("Function").select_option("another")
    pretended.may_answer.set()
    await expect(page.get_by_text("30 of 50 calls of thumbnails ended")).to_be_visible()
    pretended.tell(functions=[{**row, "calls": row["calls"] + 50}])
    await expect(page.get_by_text("50 of 50 calls of thumbnails ended")).to_be_visible()


async def test_an_event_to_be_edited_that_comes_before_the_functions_goes_to_its_own(
    page: Page, pretended: PretendedConsole
) -> None:
    """Not to the first of them."""
    functions = [function_row("another"), function_row("thumbnails")]
    pretended.snapshot["functions"] = functions
    pretended.details["call-0"] = {"event": body_of(b'{"n": 1742}')}
    may_tell = asyncio.Event()

    async def held(route: Any) -> None:
        await may_tell.wait()
        await route.continue_()

    await page.route("**/events", held)
    await page.goto(f"{pretended.url}#/send/call-0")
    await expect(page.get_by_label("Event", exact=True)).to_have_value('{"n": 1742}')
    may_tell.set()
    await expect(page.get_by_label("Function").locator("option")).to_have_count(2)
    await expect(page.get_by_label("Function")).to_have_value("thumbnails")


async def test_what_is_written_is_not_replaced_by_an_event_that_comes_late(
    page: Page, pretended: PretendedConsole
) -> None:
    """It is asked for no more."""
    pretended.may_answer.clear()
    await open_page(page, pretended, "send/call-0")
    assert await pretended.asked.get() == "call-0"
    async with page.expect_event("requestfailed", lambda each: each.url.endswith("/call-0")):
        await page.get_by_label("Event", exact=True).fill("half a thought")
    pretended.may_answer.set()
    await expect(page.get_by_label("Event", exact=True)).to_have_value("half a thought")


async def test_a_tile_keeps_the_focus_while_one_before_it_goes(
    page: Page, pretended: PretendedConsole
) -> None:
    """Who moves by keys stays where they are."""
    pretended.snapshot = scene(3)
    await open_page(page, pretended)
    tile = page.get_by_role("button", name="c-3")
    await tile.focus()
    pretended.tell(gone=[instance_row(0, "thumbnails", 0)["id"]])
    await expect(page.get_by_role("button", name="c-1")).to_have_count(0)
    await expect(tile).to_be_focused()


async def test_a_fault_for_an_instance_that_has_gone_meanwhile_hits_no_other(
    page: Page, pretended: PretendedConsole
) -> None:
    """It stays picked, so the server tells that it is not there."""
    pretended.snapshot = scene(3)
    await open_page(page, pretended, "faults")
    form = page.get_by_role("form", name="Kill")
    instance = pretended.snapshot["instances"][1]
    await form.get_by_label("Instance").select_option(f'{{"instance":"{instance["id"]}"}}')
    pretended.tell(gone=[instance["id"]])
    await expect(form.get_by_text("c-2 of thumbnails, gone")).to_have_count(1)
    await form.get_by_role("button", name="Kill").click()
    await expect(page.get_by_text("Kill: done.")).to_be_visible()
    assert pretended.posted[-1] == ("faults", {"kind": "kill", "instance": instance["id"]})


async def test_calls_in_sight_stay_there_if_one_comes_before_the_list_is_drawn_anew(
    page: Page, pretended: PretendedConsole
) -> None:
    """It was scrolled by one row, and one comes on top."""
    pretended.snapshot = scene(1, 180)
    await open_page(page, pretended, "calls")
    await expect(page.locator(".grid")).to_have_attribute("aria-rowcount", "181")
    fresh = call_row(1000, "thumbnails", time.time() + 9)
    assert await page.evaluate(SCROLL_THEN_CALL, fresh) == pytest.approx(100, abs=0.1)


async def test_what_happened_is_told_once(page: Page, pretended: PretendedConsole) -> None:
    """The first change tells of it again if it came just before the page."""
    await open_page(page, pretended)
    now = time.time()
    pretended.tell(marks=[mark_row(n, now, "thumbnails") for n in (5, 6, 7)])
    await expect(page.get_by_text("c-8: cold")).to_be_visible()
    assert await page.evaluate(MARKS) == list(range(8))
