"""The console's server over real sockets: who gets in, and what a page is told."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from service.console.hub import KEPT_CHANGES, MAX_PAGES
from tests.console.desk import CHANGES, TOKEN, PlainSource, opened, served
from tests.harness import ANSWERS_WITHIN


async def test_the_address_with_its_token_opens_the_page_and_no_script_can_read_the_cookie() -> (
    None
):
    """The answer leads to the page without the token; the cookie is of this site and port alone."""
    async with served(PlainSource()) as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/?token={TOKEN}"
        async with session.get(url, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")
            cookie = response.headers["Set-Cookie"]
            port = server.url.rpartition(":")[2]
            assert cookie.startswith(f"fc-console-{port}=")
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
        async with opened(server.url) as page, page.session.get(server.url) as response:
            assert response.status == 200
            assert response.content_type == "text/html"


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/?token=", "/?token=%ff"])
async def test_without_the_token_a_page_says_where_the_address_stands(path: str) -> None:
    """A wrong token is like none."""
    async with (
        served(PlainSource()) as server,
        aiohttp.ClientSession() as session,
        session.get(server.url + path) as response,
    ):
        assert response.status == 401
        assert "was printed" in await response.text()
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/events"),
        ("GET", "/main.js"),
        ("GET", "/api/calls"),
        ("GET", "/api/samples"),
        ("POST", "/api/send"),
        ("POST", "/nothing"),
    ],
)
async def test_nothing_is_told_and_nothing_is_done_without_the_token(
    method: str, path: str
) -> None:
    """Neither the stream, nor a file of the page, nor a call."""
    source = PlainSource()
    async with served(source) as server, aiohttp.ClientSession() as session:
        cookie = {"Cookie": f"fc-console-{server.url.rpartition(':')[2]}={TOKEN}"}
        for headers in (CHANGES, CHANGES | cookie):
            async with session.request(method, server.url + path, headers=headers) as response:
                assert response.status == 401
                assert "token" in (await response.json())["error"]
    assert source.sent == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "http://evil.example"}, id="another origin"),
        pytest.param({"Origin": "null"}, id="an origin of none"),
        pytest.param({"Host": "evil.example"}, id="another host"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="another port"),
        pytest.param({"X-Console": "0"}, id="no mark of the page"),
    ],
)
async def test_another_site_can_do_nothing_with_the_cookie(headers: dict[str, str]) -> None:
    """What a browser sends for a page of another origin is refused, whatever cookies it has."""
    source = PlainSource()
    async with served(source) as server, opened(server.url) as page:
        status, error = await page.refusal(
            "POST", "/api/send", headers=CHANGES | headers, json={"function": "fn"}
        )
        assert status == 403
        assert "refuses" in error or "X-Console" in error
    assert source.sent == []


async def test_every_answer_forbids_what_the_page_does_not_need() -> None:
    """Scripts and styles of this server alone, no frames, no forms, nothing kept: for the page, a
    file, JSON, a refusal and the stream.
    """
    async with served(PlainSource()) as server, opened(server.url) as page:
        for path in ("/", "/main.js", "/api/calls", "/nothing", "/events"):
            async with page.session.get(server.url + path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
                assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/../server.py", "/%2e%2e/server.py", "//etc/passwd", "/page"])
async def test_no_file_but_those_of_the_page_is_served(path: str) -> None:
    """No path leads out of the folder."""
    from yarl import URL

    async with served(PlainSource()) as server, opened(server.url) as page:
        address = URL(server.url + path, encoded=True)
        async with page.session.get(address) as response:
            assert response.status == 404


async def test_a_page_is_told_everything_and_then_what_has_changed() -> None:
    """At first all that there is; then calls, functions, instances that came and went, and no more
    than that.
    """
    source = PlainSource()
    source.call("1-a", b'{"n":1}')
    async with served(source) as server, opened(server.url) as page, page.stream() as stream:
        kind, told = await stream.next()
        assert kind == "snapshot"
        assert told["version"] == "1.2.3"
        assert told["offers"] == ["send"]
        assert [call["id"] for call in told["calls"]] == ["1-a"]
        assert told["calls"][0]["ms"] == {
            **{"queue": 1.0, "start": 0.0, "initializer": 0.0, "handler": 250.0},
            "total": 251.0,
        }
        source.rows["instances"] = [{"id": "c-1", "state": "ready"}]
        source.call("1-b")
        found = await stream.until("instances", id="c-1")
        assert found["state"] == "ready"
        source.rows["instances"] = []
        source.call("1-c")
        while "gone" not in (told := (await stream.next())[1]):
            pass
        assert told["gone"] == ["c-1"]
        assert "functions" not in told
        assert "snapshot" not in told


async def test_two_pages_are_told_the_same() -> None:
    """Two browsers at once."""
    source = PlainSource()
    async with (
        served(source) as server,
        opened(server.url) as one,
        opened(server.url) as other,
        one.stream() as first,
        other.stream() as second,
    ):
        await first.next()
        await second.next()
        source.call("1-a")
        assert await first.until("calls", id="1-a") == await second.until("calls", id="1-a")


async def test_a_page_that_reads_slowly_gets_everything_anew_and_not_what_it_has_missed() -> None:
    """While it reads nothing, a bounded number of changes waits for it; other pages go on."""
    source = PlainSource()
    async with (
        served(source) as server,
        opened(server.url) as quick,
        opened(server.url) as slow,
        slow.stream() as unread,
        quick.stream() as stream,
    ):
        await unread.next()
        await stream.next()
        # Each change has more than the sockets between can hold together with the others.
        for number in range(3 * KEPT_CHANGES):
            source.rows["tasks"] = [{"request_id": "t", "n": number, "fill": "x" * 2_000_000}]
            source.call(f"1-{number}")
            server.hub.publish()
            await stream.until("tasks", n=number)
        kinds = []
        while True:
            kind, told = await unread.next()
            kinds.append(kind)
            if kind == "snapshot":
                break
        assert len(kinds) <= KEPT_CHANGES + 2
        assert told["tasks"][0]["n"] == 3 * KEPT_CHANGES - 1


async def test_no_more_pages_are_open_than_there_is_room_for() -> None:
    """The next one is told so; when one is closed, there is room again."""
    async with served(PlainSource()) as server, opened(server.url) as page:
        streams = [await page.session.get(f"{server.url}/events") for _ in range(MAX_PAGES)]
        for each in streams:
            await each.content.readline()
        status, error = await page.refusal("GET", "/events")
        assert (status, "close one" in error) == (503, True)
        for each in streams:
            each.close()
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                async with page.session.get(f"{server.url}/events") as response:
                    if response.status == 200:
                        break
                await asyncio.sleep(0)


async def test_an_open_page_does_not_hold_up_the_end() -> None:
    """Its stream ends with the console, within the time that `served` gives it."""
    async with (
        served(PlainSource()) as server,
        opened(server.url) as page,
        page.session.get(f"{server.url}/events") as response,
    ):
        await response.content.readline()
        await server.stop()
        assert (await response.content.read()).endswith(b"\n\n")


async def test_a_page_that_is_open_comes_back_after_a_restart() -> None:
    """With the same token and port its cookie is good for the next console, too."""
    async with served(PlainSource()) as first:
        port = int(first.url.rpartition(":")[2])
        async with opened(first.url) as page:
            await first.stop()
            async with served(PlainSource(), port), page.stream() as stream:
                assert (await stream.next())[0] == "snapshot"


async def test_what_cannot_be_shown_is_logged_and_shown_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fault of what is shown ends neither the stream nor the console."""
    source = PlainSource()
    async with served(source) as server, opened(server.url) as page, page.stream() as stream:
        await stream.next()
        source.broken = True
        async with page.session.get(f"{server.url}/events") as response:
            assert await response.read() == b""
        source.broken = False
        source.call("1-b")
        await stream.until("calls", id="1-b")
    assert "the console cannot tell what there is" in caplog.text
    assert "no functions today" in caplog.text


async def test_a_call_is_shown_whole_with_its_lines_and_is_text_whatever_is_in_it() -> None:
    """Markup stands in JSON as any text; bodies are base64; the files are downloads of bytes."""
    markup = b"<script>alert(1)</script>"
    source = PlainSource()
    entry = source.call("1-a", markup, b"\x00\xff\xfe")
    source.history.line("1-a", "c-1", "2026-11-28T19:00:00.123Z 1-a [WARNING] <b>&</b>")
    source.history.line("1-a", "c-1", '{"level":"ERROR","message":"x"}')
    async with served(source) as server, opened(server.url) as page:
        shown = await page.get("/api/calls/1-a")
        assert shown["event"] == {
            **{"bytes": 25, "base64": "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="},
            **{"cut": False, "kept": True},
        }
        assert shown["result"]["base64"] == "AP/+"
        assert [(each["text"], each["level"]) for each in shown["lines"]] == [
            ("<b>&</b>", "WARNING"),
            ('{"level":"ERROR","message":"x"}', "ERROR"),
        ]
        assert shown["headers"] == {"x-fc-function-name": "fn"}
        for what, body in (("event", markup), ("result", entry.result)):
            async with page.session.get(f"{server.url}/api/calls/1-a/{what}") as response:
                assert response.content_type == "application/octet-stream"
                assert response.headers["Content-Disposition"].startswith("attachment")
                assert await response.read() == body
        async with page.session.get(f"{server.url}/api/calls/1-a/copy?as=curl") as response:
            assert (response.content_type, await response.text()) == ("text/plain", "curl 1-a")


async def test_a_large_body_is_cut_where_it_is_shown_and_whole_as_a_file() -> None:
    """An event of 32 MB: the page is sent 256 KiB of it."""
    event = b"x" * (32 * 1024 * 1024)
    source = PlainSource()
    source.call("1-a", event, b"")
    async with served(source) as server, opened(server.url) as page:
        shown = (await page.get("/api/calls/1-a"))["event"]
        assert (shown["bytes"], shown["cut"]) == (len(event), True)
        assert len(shown["base64"]) < 400_000
        async with page.session.get(f"{server.url}/api/calls/1-a/event") as response:
            assert len(await response.read()) == len(event)


async def test_what_is_not_kept_any_more_is_told() -> None:
    """The call is there, its texts are not; a call that is not there is not found."""
    source = PlainSource()
    source.history = source.history.__class__(text=10)
    source.call("1-a", b"x" * 100)
    source.call("1-b", b"x" * 100)
    async with served(source) as server, opened(server.url) as page:
        shown = await page.get("/api/calls/1-a")
        assert (shown["event"]["kept"], shown["event"]["bytes"]) == (False, 100)
        for method, path in (("GET", "event"), ("GET", "result"), ("POST", "again")):
            status, error = await page.refusal(method, f"/api/calls/1-a/{path}")
            assert (status, "not kept" in error) == (410, True)
        status, error = await page.refusal("GET", "/api/calls/1-z")
        assert status == 404
    assert source.sent == []


async def test_calls_are_listed_page_by_page_by_what_is_asked_for() -> None:
    """The newest first; by function, status and a text in any of their texts."""
    source = PlainSource()
    for number in range(5):
        source.call(f"1-{number}", b'{"Name":"you %d"}' % number)
    source.history.line("1-3", "c-1", "A line that Nobody else has")
    async with served(source) as server, opened(server.url) as page:

        async def listed(**query: str) -> Any:
            told = await page.get("/api/calls", **query)
            return [call["id"] for call in told["calls"]], told["more"]

        assert await listed(limit="2") == (["1-4", "1-3"], True)
        assert await listed(limit="3", before="1-3") == (["1-2", "1-1", "1-0"], False)
        assert await listed(text="YOU 2") == (["1-2"], False)
        assert await listed(text="nobody") == (["1-3"], False)
        assert await listed(function="fn", status="ok", limit="1") == (["1-4"], True)
        assert await listed(status="running") == ([], False)
        assert (await page.refusal("GET", "/api/calls?limit=0"))[0] == 400


async def test_an_event_is_sent_as_json_or_as_bytes() -> None:
    """A file's bytes need no JSON around them."""
    source = PlainSource()
    async with served(source) as server, opened(server.url) as page:
        assert await page.post("/api/send", function="fn", event={"text": "{}"}) == {"ids": ["1-a"]}
        async with page.session.post(
            f"{server.url}/api/send?function=fn&count=2",
            data=b"\x00\xff",
            headers=CHANGES | {"Content-Type": "application/octet-stream"},
        ) as response:
            assert response.status == 200
    assert source.sent == [
        {"function": "fn", "event": {"text": "{}"}},
        {"function": "fn", "count": "2", "event": b"\x00\xff"},
    ]


async def test_what_cannot_be_read_is_told_and_not_done() -> None:
    """No JSON, no object, another type, what this console does not offer, and no such path."""
    source = PlainSource()
    async with served(source) as server, opened(server.url) as page:
        json = {"Content-Type": "application/json"} | CHANGES
        refused = [
            await page.refusal("POST", "/api/send", data=b"{", headers=json),
            await page.refusal("POST", "/api/send", data=b"[]", headers=json),
            await page.refusal("POST", "/api/send", data={"function": "fn"}),
            await page.refusal("POST", "/api/faults", json={"kind": "kill"}),
            await page.refusal("GET", "/api/nothing"),
            await page.refusal("DELETE", "/api/calls"),
        ]
    assert [status for status, _ in refused] == [400, 400, 415, 501, 404, 405]
    assert all(re.search(r"\w+ \w+", error) for _, error in refused)
    assert source.sent == []


async def test_samples_come_with_their_schemas_and_mistakes_with_their_places() -> None:
    """Every sample is without a mistake; what is wrong is told with its line and column."""
    async with served(PlainSource()) as server, opened(server.url) as page:
        samples = await page.get("/api/samples")
        assert {"name", "about", "type"} <= samples[0].keys()
        for each in samples:
            if each["type"] and "text" in each:
                checked = {"type": each["type"], "text": each["text"]}
                assert await page.post("/api/check", **checked) == {"errors": []}, each["name"]
        schema = await page.get("/api/schemas/TimerEvent")
        assert "triggerName" in schema["$defs"]["TimerEvent"]["properties"]
        wrong = '{"triggerTime": "2026-11-28T19:00:00Z",\n "triggerName": 5, "payload": ""}'
        (mistake,) = (await page.post("/api/check", type="TimerEvent", text=wrong))["errors"]
        assert (mistake["path"], mistake["line"], mistake["column"]) == ("triggerName", 2, 17)
        assert (await page.refusal("GET", "/api/schemas/Context"))[0] == 404
        assert (await page.refusal("POST", "/api/check", json={"type": "OssEvent"}))[0] == 400
