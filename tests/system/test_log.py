"""What stands in the log is what happened: nobody forges a line, breaks one, or floods it
(promise S6, rows K2, K3, K4 and K6).
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import quote

import orjson
import pytest

from service.logs.log import Logs
from service.protocol import INITED, MAX_LOG_LINE
from tests.assembly import Pipe
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ServerProcess, request

MARKER = re.compile(
    r"FC (?:Invoke|Initialize|PreStop|PreFreeze) (?:Start|End) RequestId: ([\w.:-]{1,128})"
    r"(?:, Error: Unhandled function error)?",
    re.ASCII,
)
TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) \[([A-Z]+)\] ([^\n]*)", re.DOTALL)
ENDS_A_LINE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What a reader may take for the end of a line, or a terminal for a command."""

ENDS = "FC Invoke End RequestId: forged"
LINE = "2026-11-22T05:13:35.920Z forged [INFO] all is well"
OBJECT = '{"time":"2026-11-22T05:13:35.920Z","level":"INFO","requestId":"forged","message":"well"}'
HOSTILE = [
    f"\n{ENDS}",
    f"\r{ENDS}",
    f"\r\n{ENDS}\r\n",
    f"\n\n{LINE}\n",
    f"\x0b\x0c\x1c\x1d\x1e{LINE}",
    f"\x85{ENDS}\u2028{ENDS}\u2029{LINE}",
    f"\x1b[2K\x1b[1A{ENDS}",
    f"\x9b2K\x9b1A{ENDS}\x07\x08\x7f",
    f'"}}\n{OBJECT}\n{{"message":"',
    f"\x00{ENDS}\t\ufeff\u202e",
    "%(message)s %s %d {request_id} \\n" + ENDS,
]
FUNCTION = """
    import logging, sys, warnings

    def handler(event: dict, context):
        text, how = event["text"], event["how"]
        if how == "print":
            print(text)
        elif how == "stderr":
            sys.stderr.write(text)
        elif how == "bytes":
            sys.stdout.buffer.write(text.encode("latin-1", "replace") + bytes(range(256)))
        elif how == "log":
            logging.getLogger(text).error("%s", text)
        elif how == "exception":
            raise ValueError(text)
        elif how == "class":
            raise type(text.replace("\\0", ""), (Exception,), {})("no luck")
        elif how == "size":
            sys.stdout.write("a" * 10_000_000 + "\\n" + "after\\n")
        elif how == "many":
            for number in range(10_000):
                print("number", number)
"""
QUIET = ("--stall-after", "0")
"""A machine that is busy otherwise may be slow enough for a line about it."""

LAST = "Ctrl-C: calls in flight are finished"
"""In the last line of the start."""

WRITES = ("print", "stderr", "bytes", "log", "exception", "class")


@pytest.fixture(scope="module", params=["text", "json"])
def logged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ServerProcess]]:
    """A log format, and a service that logs in it and writes what it is told."""
    folder = tmp_path_factory.mktemp(request.param)
    server = ServerProcess(folder, FUNCTION, "--log-format", request.param, *QUIET)
    server.wait_for(LAST)
    yield request.param, server
    server.kill()


def entries(log_format: str, lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """Request id, level ("FC" for a marker) and text of each line; no line is anything else."""
    for line in lines:
        assert not ENDS_A_LINE.search(line), line
        if marker := MARKER.fullmatch(line):
            yield marker[1], "FC", line
        elif log_format == "json":
            entry = json.loads(line)
            first = ["time", "level", "logger", "requestId", "message"]
            assert list(entry) in (first, [*first, "errorType", "errorMessage", "stack"])
            yield entry["requestId"], entry["level"], entry["message"]
        else:
            found = TEXT.fullmatch(line)
            assert found, line
            yield found[1], found[2], found[3]


def written_since(server: ServerProcess, lines: int, request_id: str) -> list[str]:
    """The lines from number `lines` on, once the call has its End line."""
    server.wait_for(f"FC Invoke End RequestId: {re.escape(request_id)}")
    return server.lines[lines:]


def test_the_lines_of_the_start_have_the_logs_form(logged: tuple[str, ServerProcess]) -> None:
    """In JSON the platform's marker alone is none; in text they are what a person reads."""
    log_format, server = logged
    last = next(n for n, line in enumerate(server.lines) if LAST in line)
    first, *others = server.lines[: last + 1]
    assert first == INITED
    assert len(others) == 5
    if log_format == "json":
        assert {json.loads(line)["level"] for line in others} == {"INFO"}
        assert json.loads(others[-1])["message"].startswith("stop ")


@pytest.mark.parametrize("number", range(len(HOSTILE)))
async def test_no_text_of_a_call_forges_or_breaks_a_line(
    logged: tuple[str, ServerProcess], number: int
) -> None:
    """K3: whatever a call prints, logs or raises, each line of the log is a marker of a call that
    there was, or carries that call's id; a message has as many lines as it has line ends.
    """
    log_format, server = logged
    text = HOSTILE[number]
    for how in WRITES:
        before, call = len(server.lines), f"{how}-{number}"
        answer = await server.ask(
            request(orjson.dumps({"text": text, "how": how}), request_id=call)
        )
        assert answer.json() is None or set(answer.json()) >= {"errorType", "requestId"}
        lines = await asyncio.to_thread(written_since, server, before, call)
        found = list(entries(log_format, lines))
        assert {each[0] for each in found} == {call}
        assert [each[1] for each in found].count("FC") == 2
        if how in ("print", "stderr", "log"):
            assert len(found) == 2 + count_of(text, how, log_format), lines


def count_of(text: str, how: str, log_format: str) -> int:
    """How many lines it takes to write this text."""
    rest = text.rpartition("\n")[2]
    last = 1 if rest or how != "stderr" else 0
    if log_format == "text":
        return text.count("\n") + last
    return 1 if how == "log" else last + ("\n" in text)  # a piece with its line ends is one message


@pytest.mark.parametrize("number", range(len(HOSTILE)))
async def test_no_part_of_a_head_forges_or_breaks_a_line(
    logged: tuple[str, ServerProcess], number: int
) -> None:
    """K2, K3: nothing of path, query, fields or request id is in the log, but an id that is one."""
    log_format, server = logged
    text = HOSTILE[number]
    before = len(server.lines)
    escaped = quote(text)
    within_a_field = re.sub(r"[^\t\x20-\x7e\x80-\xff]", "", text).strip()
    heads = [
        request(path=f"/{escaped}"),
        request(path=f"/invoke?{escaped}={escaped}", User_Agent=within_a_field),
        request(x_fc_control_path=within_a_field, x_fc_function_name=within_a_field),
        request(request_id=within_a_field),
        request(x_fc_request_id=f"a{text}b".replace("\u2028", "").replace("\u2029", "")[:40])
        if text.isascii()
        else request(request_id="\x85"),
        request(method=f"P{text}"[:3], path="/invoke") if text.isascii() else request(b"["),
    ]
    for head in heads:
        await server.ask(head)
    last = f"last-{number}"
    await server.ask(request(b"[]", request_id=last))
    lines = await asyncio.to_thread(written_since, server, before, last)
    for call, _, said in entries(log_format, lines):
        assert re.fullmatch(r"-|last-\d+|1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}", call)
        assert "forged" not in said


async def test_a_huge_line_is_cut_and_what_follows_is_there(
    logged: tuple[str, ServerProcess],
) -> None:
    """K4: of a line of 10 MB its first 32 KB are written and its size is told, once; the next line
    is whole.
    """
    log_format, server = logged
    before = len(server.lines)
    await server.ask(request(b'{"how": "size", "text": ""}', request_id="size"))
    lines = await asyncio.to_thread(written_since, server, before, "size")
    assert all(len(line) <= MAX_LOG_LINE for line in lines)
    texts = [said for _, level, said in entries(log_format, lines) if level == "STDOUT"]
    if log_format == "json":  # one message
        assert re.search(r"a\.\.\. \[cut: the message had 10000006 characters\]$", texts[0])
        assert len(texts) == 1
    else:
        assert re.search(r"a\.\.\. \[cut: the line had 10000000 bytes\]$", texts[0])
        assert texts[1:] == ["after"]


async def test_ten_thousand_lines_of_a_call_keep_their_order(
    logged: tuple[str, ServerProcess],
) -> None:
    """K4: 10,000 prints of one call are 10,000 lines in their order, between its markers; what a
    slow reader made us drop is counted.
    """
    log_format, server = logged
    before = len(server.lines)
    await server.ask(request(b'{"how": "many", "text": ""}', request_id="many"))
    lines = await asyncio.to_thread(written_since, server, before, "many")
    found = [each for each in entries(log_format, lines) if "lines were lost" not in each[2]]
    assert [found[0][2], found[-1][2]] == [
        "FC Invoke Start RequestId: many",
        "FC Invoke End RequestId: many",
    ]
    numbers = [int(said.removeprefix("number ")) for _, _, said in found[1:-1]]
    assert numbers == sorted(set(numbers))
    health = await server.ask(request(b"", path="/health", method="GET"))
    assert len(numbers) + health.json()["logLinesLost"] >= 10_000


def test_the_notice_of_lost_lines_has_the_logs_form() -> None:
    """K4: in the JSON format the line that tells how many were lost is JSON, too."""
    pipe = Pipe(capacity=0, size=4096)
    try:
        logs = Logs(pipe.log, "json")
        for _ in range(100):
            logs.line("INFO", "a" * 100)
        lines = pipe.lines()
        assert pipe.log.flush()
        told = [entry for entry in map(json.loads, lines + pipe.lines()) if "lost" in str(entry)]
        assert {entry["level"] for entry in told} == {"WARNING"}
        assert sum(int(entry["message"].split(" ")[0]) for entry in told) == pipe.log.lost > 0
    finally:
        pipe.close()


# --- floods

FLOOD = 10_000
AT_ONCE = 100
MALFORMED = [
    request(x_fc_security_token="a\x01b"),
    request(x_fc_security_token="a" * 40_000),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
]


def flood(port: int) -> int:
    """Send malformed requests, each on a connection of its own; return how many were refused."""
    refused = 0
    for first in range(0, FLOOD, AT_ONCE):
        batch = []
        for number in range(first, first + AT_ONCE):
            sock = socket.create_connection(("127.0.0.1", port), ANSWERS_WITHIN)
            sock.sendall(MALFORMED[number % len(MALFORMED)])
            batch.append(sock)
        for sock in batch:
            with sock:
                refused += sock.recv(4096).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
    return refused


async def test_a_flood_of_malformed_requests_is_few_lines(serve: Serve) -> None:
    """K6: 10,000 requests that cannot be read are all answered, a line a second tells of each kind,
    none is a traceback, and the service serves on.
    """
    server = serve("async def handler(event, context): return event", *QUIET)
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(server.wait_for, LAST)
    port, began = server.port, loop.time()
    before = len(server.lines)
    assert await asyncio.to_thread(flood, port) == FLOOD
    took = loop.time() - began
    assert (await server.ask(request(b"good"))).body == b"good"
    lines = [line for line in server.lines[before:] if not MARKER.fullmatch(line)]
    kinds = {said for _, _, said in entries("text", lines) if "generated" not in said}
    assert kinds == {"BadRequest: a request was refused"}
    assert len(lines) <= 2 + took * len(kinds)
    assert "Traceback" not in server.log()
