"""The console's page for everybody: by keys alone, magnified, in both themes, read aloud."""

from __future__ import annotations

from typing import Any

import pytest

from tests.console.browser.pretended import PretendedConsole, body_of
from tests.console.browser.scenes import scene
from tests.console.browser.test_page import open_page

playwright = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe is not installed")
expect = playwright.expect
Page = Any

pytestmark = pytest.mark.asyncio(loop_scope="module")

VIEWS = ("", "calls", "calls/call-3", "tasks", "charts", "send", "faults")

FOCUS = """() => {
  const node = document.activeElement;
  const style = getComputedStyle(node);
  const box = node.closest(".editor-box");
  const around = box && getComputedStyle(box).outlineStyle !== "none";
  const ring = style.outlineStyle !== "none" || around;
  const { width, height } = node.getBoundingClientRect();
  return [node.tagName, node.id || node.textContent.slice(0, 30), ring, width > 0 && height > 0];
}"""

REACHABLE = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, [tabindex='0']")]
  .filter((node) => node.tabIndex >= 0 && !node.disabled && node.checkVisibility()).length"""


def furnished(server: PretendedConsole, instances: int = 7, calls: int = 6) -> None:
    """Let the server show something in every view: each state of instances, each end of calls."""
    server.snapshot = scene(instances, calls)
    server.details["call-3"] = {
        "event": body_of(b'{"name": "you"}'),
        "result": body_of(bytes(range(256))),
        "lines": [{"t": 1.0, "text": "could not", "level": "ERROR"}],
        "failure": {"type": "ValueError", "message": "no", "trace": ["index.py, 3, handler"]},
        "reports": [{"kind": "stall", "text": "1.2 s in index.py:14"}],
        "headers": {"Content-Type": "application/json"},
    }
    server.snapshot["faults"]["clock_skew"] = 3600


async def findings(page: Page, server: PretendedConsole) -> list[str]:
    """Return what axe says of each view."""
    found = []
    for view in VIEWS:
        await open_page(page, server, view)
        if view == "calls/call-3":
            await expect(page.get_by_label("The result", exact=True)).to_be_visible()
        result = await axe.Axe().run(page)
        assert len(result.response["passes"]) > 15
        for each in result.response["violations"]:
            nodes = [node["html"][:150] + str(node["any"])[:300] for node in each["nodes"][:3]]
            found.append(f"{view}: {each['id']}: {each['help']} {nodes}")
    return found


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
async def test_axe_finds_nothing(page: Page, pretended: PretendedConsole, theme: str) -> None:
    """In no view."""
    furnished(pretended)
    await page.emulate_media(color_scheme=theme)
    assert await findings(page, pretended) == []


@pytest.mark.parametrize("view", ["", "calls/call-3", "charts", "send", "faults"])
@pytest.mark.long
async def test_everything_is_reached_by_tab_and_is_seen_there(
    page: Page, pretended: PretendedConsole, view: str
) -> None:
    """Each place has a ring, none is a trap, and behind the last comes the first."""
    furnished(pretended)
    await open_page(page, pretended, view)
    if view == "calls/call-3":
        await expect(page.get_by_label("The result", exact=True)).to_be_visible()
    places = []
    for _ in range(await page.evaluate(REACHABLE)):
        await page.keyboard.press("Tab")
        places.append(await page.evaluate(FOCUS))
    assert [place for place in places if not (place[2] and place[3])] == []
    assert len({tuple(place[:2]) for place in places}) > len(places) * 0.6
    assert places[-1][0] != "BODY"


async def test_the_tiles_are_one_stop_of_tab_and_arrows_move_between_them(
    page: Page, pretended: PretendedConsole
) -> None:
    """Enter opens one, Esc leads back to it."""
    furnished(pretended, 30)
    await open_page(page, pretended)
    first = page.get_by_role("button", name="c-1 ", exact=False).first
    await first.focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Instance c-2")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.locator(".tile[tabindex='0']")).to_be_focused()
    await expect(page.locator(".tile[tabindex='0']")).to_contain_text("c-2")


async def test_nothing_is_cut_at_four_times_the_size(
    page: Page, pretended: PretendedConsole
) -> None:
    """1,280 pixels, magnified to 320: no view scrolls sideways."""
    furnished(pretended, 30, 40)
    await page.set_viewport_size({"width": 320, "height": 256})
    for view in VIEWS:
        await open_page(page, pretended, view)
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, view


async def test_the_theme_is_the_systems_or_the_readers(
    page: Page, pretended: PretendedConsole
) -> None:
    """A choice is kept over a reload."""
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    await page.emulate_media(color_scheme="dark")
    await open_page(page, pretended)
    dark = await page.evaluate(ground)
    await page.get_by_role("button", name="Theme: system").click()
    await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    light = await page.evaluate(ground)
    assert light != dark
    await page.reload()
    await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert await page.evaluate(ground) == light
