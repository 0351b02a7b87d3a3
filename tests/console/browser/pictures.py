"""`make console-pictures`: the pictures of docs/console.md, of a real emulator; the one of 200
instances is of a server that pretends to have them.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from service.pictures.look import DARK, on_both_grounds
from tests.console.browser.emulated import emulated
from tests.console.browser.pretended import PretendedConsole
from tests.console.browser.scenes import scene

FOLDER = Path(__file__).parents[3] / "docs" / "console"
SIZE = ViewportSize(width=1280, height=720)

EVENTS = (
    ('{"name": "you", "seconds": 0.2}', 300, 30),
    ('{"name": "fail"}', 3, 1),
    ('{"name": "stall"}', 1, 1),
    ('{"name": "you", "seconds": 4}', 24, 24),
)
"""What is sent before the pictures: an event, how often, and how many at once."""


async def opened(browser: Browser, address: str) -> Page:
    """Return a page that is live."""
    context = await browser.new_context(viewport=SIZE)
    page = await context.new_page()
    await page.goto(address)
    await page.wait_for_selector("html[data-connection=live]")
    return page


async def view(page: Page, name: str) -> None:
    """Go to a view."""
    await page.get_by_role("link", name=name, exact=True).click()


async def take(page: Page, name: str) -> None:
    """Take a picture once the page has drawn what it was told, and one of its dark theme."""
    await page.wait_for_timeout(900)
    for look, file in on_both_grounds([FOLDER / f"{name}.png"]):
        await page.emulate_media(color_scheme="dark" if look is DARK else "light")
        await page.screenshot(path=file)
        print(f"docs/console/{file.name}")


async def send(page: Page, event: str, count: int, at_once: int, *, is_async: bool = False) -> None:
    """Send an event from the form."""
    await view(page, "Send")
    await page.get_by_label("Event", exact=True).fill(event)
    await page.get_by_label("How many").fill(str(count))
    await page.get_by_label("At once").fill(str(at_once))
    await page.get_by_label("asynchronously").set_checked(is_async)
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.get_by_text(f"Sent {count} event").wait_for()


async def of_the_emulator(browser: Browser, folder: Path) -> None:
    """Take the pictures of a real one."""
    async with emulated(folder) as address:
        page = await opened(browser, address)
        await send(page, '{"name": "fail"}', 1, 1, is_async=True)
        for event, count, at_once in EVENTS[:-1]:
            await send(page, event, count, at_once)
            await (
                page.get_by_text(f"{count} of {count} calls")
                .or_(page.locator(".progress .status-ok"))
                .first.wait_for()
            )
        await send(page, *EVENTS[-1])
        await view(page, "Functions")
        await take(page, "functions")
        await view(page, "Charts")
        await page.get_by_label("Range").select_option("60")
        await take(page, "charts")
        await view(page, "Calls")
        await page.get_by_label("Status").select_option("error")
        await page.locator(".grid-item").first.click()
        await take(page, "calls")
        await view(page, "Tasks")
        await take(page, "tasks")
        await view(page, "Send")
        await page.get_by_label("Sample").select_option("oss.put")
        area = page.get_by_label("Event", exact=True)
        await area.fill((await area.input_value()).replace('"size": ', '"size": "large", "was": '))
        await page.locator(".editor-errors button").first.click()
        await take(page, "send")
        await view(page, "Faults")
        await page.get_by_role("button", name="Delay", exact=True).click()
        await take(page, "faults")


async def of_two_hundred(browser: Browser) -> None:
    """Take the picture of 200 instances."""
    server = PretendedConsole(scene(200, 600))
    await server.start()
    await take(await opened(browser, server.url), "instances")
    await server.stop()


async def main() -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the pictures are taken by chromium: apt-get install chromium")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with tempfile.TemporaryDirectory() as folder:
            await of_the_emulator(browser, Path(folder))
        await of_two_hundred(browser)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
