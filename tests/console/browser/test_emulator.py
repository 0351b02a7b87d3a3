"""The console of a real emulator, in a browser: what a user does in the first minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.console.browser.emulated import emulated
from tests.harness import held_port

playwright = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")
expect = playwright.expect
Page = Any

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def send(page: Page, event: str, count: int = 1, at_once: int = 1) -> None:
    """Send an event from the form."""
    await page.get_by_role("link", name="Send", exact=True).click()
    await page.get_by_label("Event", exact=True).fill(event)
    await page.get_by_label("How many").fill(str(count))
    await page.get_by_label("At once").fill(str(at_once))
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_text(f"Sent {count:,} event")).to_be_visible()


async def view(page: Page, name: str) -> None:
    """Go to a view."""
    await page.get_by_role("link", name=name, exact=True).click()


async def test_an_instance_is_watched_filled_frozen_thawed_and_killed(
    page: Page, tmp_path: Path
) -> None:
    """Calls are sent, read and sent again; a fault is made; markup is text."""
    async with emulated(tmp_path) as address:
        await page.goto(address)
        await expect(page.get_by_text("No instance runs")).to_be_visible()

        await send(page, '{"name": "wait"}', 3, 3)
        await view(page, "Functions")
        tile = page.get_by_role("button", name="c-1")
        await expect(tile).to_contain_text("busy3 of 10 in flight")
        await send(page, '{"name": "let go"}')
        await view(page, "Functions")
        await expect(tile).to_contain_text("frozen0 of 10 in flight")

        await tile.click()
        await page.get_by_role("button", name="Thaw").click()
        await expect(tile).to_contain_text("ready")
        await page.get_by_role("button", name="Close").click()

        await send(page, '{"name": "markup"}')
        await page.get_by_role("link", name="See the call").click()
        await expect(page.get_by_label("The result", exact=True)).to_contain_text("<b>bold</b>")
        await expect(page.get_by_label("Its log lines")).to_contain_text("greets markup")
        assert await page.evaluate("window.hit") is None
        await page.get_by_role("button", name="Send again").click()
        await page.get_by_role("link", name="see the new call").click()
        await expect(page.get_by_label("The event", exact=True)).to_contain_text("markup")

        await send(page, '{"name": "fail"}')
        await page.get_by_role("link", name="See the call").click()
        await expect(page.get_by_text("LookupError").first).to_be_visible()
        await expect(page.get_by_label("Trace")).to_contain_text("nobody is called fail")

        await view(page, "Functions")
        await tile.click()
        await page.get_by_role("button", name="Kill").click()
        await expect(tile).to_have_count(0)


@pytest.mark.long
async def test_each_sample_is_shown_as_fitting_its_type(page: Page, tmp_path: Path) -> None:
    """And a timer that is fired is a call like others."""
    async with emulated(tmp_path) as address:
        await page.goto(address)
        await view(page, "Send")
        samples = await page.evaluate("fetch('api/samples').then(answer => answer.json())")
        typed = [each for each in samples if each["type"] and "text" in each]
        assert len(typed) > 15
        for each in typed:
            await page.get_by_label("Sample").select_option(each["name"])
            await expect(page.get_by_text(f"Fits the type {each['type']}.")).to_be_visible()
        await page.get_by_role("button", name="Fire now").click()
        await page.get_by_role("link", name="see the call").click()
        await expect(page.get_by_text("timer").first).to_be_visible()


@pytest.mark.long
async def test_two_pages_follow_a_burst_of_ten_thousand_calls(
    page: Page, browser: Any, tmp_path: Path
) -> None:
    """Both stay responsive, and both end with the newest call on top: they list 2,000, or say how
    many came too fast to be listed.
    """
    async with emulated(tmp_path) as address:
        other_context = await browser.new_context()
        other = await other_context.new_page()
        for each in (page, other):
            await each.goto(address)
            await expect(each.get_by_text("No instance runs")).to_be_visible()
        await other.get_by_role("link", name="Calls", exact=True).click()
        await send(page, '{"name": "you"}', 10_000, 50)
        await expect(page.get_by_text("10,000 of 10,000 calls")).to_be_visible()
        await view(page, "Calls")
        for each in (page, other):
            await expect(each.locator(".grid-item[data-status='running']")).to_have_count(0)
            found = await each.evaluate("fetch('api/calls?limit=1').then((a) => a.json())")
            top = each.locator(f".grid-item[data-id='{found['calls'][0]['id']}']")
            await expect(top).to_be_visible()
            assert await each.locator(".grid-item").count() < 100
            listed = int(await each.locator(".grid").get_attribute("aria-rowcount")) - 1
            told = await each.locator(".list-told").inner_text()
            assert listed >= 2000 or "came too fast to be listed live" in told
        await other_context.close()


@pytest.mark.long
async def test_an_event_of_32_mb_is_sent_as_a_file_and_shown_in_part(
    page: Page, tmp_path: Path
) -> None:
    """The whole is there to download."""
    event = tmp_path / "large.json"
    event.write_text('{"name": "' + "x" * (32 * 1024 * 1024 - 12) + '"}')
    async with emulated(tmp_path / "project") as address:
        await page.goto(address)
        await view(page, "Send")
        await page.get_by_label("Or a file").set_input_files(event)
        await expect(page.get_by_text("large.json, 32 MiB, is sent as it is.")).to_be_visible()
        await page.get_by_role("button", name="Send", exact=True).click()
        await page.get_by_role("link", name="See the call").click()
        await expect(page.get_by_text("32 MiB, the first 256 KiB shown")).to_be_visible()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download").first.click()
        whole = await (await download.value).path()
        assert whole.stat().st_size == 32 * 1024 * 1024


@pytest.mark.long
async def test_a_page_is_live_again_after_the_emulator_was_started_again(
    page: Page, tmp_path: Path
) -> None:
    """It has the token still, as the emulator keeps it."""
    with held_port() as port:
        flags = ("--console-port", str(port))
        async with emulated(tmp_path, *flags) as address:
            await page.goto(address)
            await expect(page.locator("#connection")).to_have_text("Live")
        await expect(page.locator("#connection")).to_have_text("Reconnecting")
        async with emulated(tmp_path, *flags):
            await expect(page.locator("#connection")).to_have_text("Live")
            await send(page, '{"name": "you"}')
            await page.get_by_role("link", name="See the call").click()
            await expect(page.get_by_label("The result", exact=True)).to_contain_text("Hello, you!")
