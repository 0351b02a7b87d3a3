"""Whose line is it? What each function server makes of the lines that concurrent calls write.

Each peer is a real process on the loopback; its output is read line by line. `make
bench-attribution` makes an environment with the peers and runs this.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

PLACES = {
    "print": "`print`",
    "library": "a library's logger",
    "to_thread": "`asyncio.to_thread`",
    "executor": "`run_in_executor`",
    "threads": "own threads and pools",
    "stderr": "`sys.stderr`, `warnings`",
    "task": "a task",
}

WORK = """
    import asyncio, logging, random, sys, threading, warnings
    from concurrent.futures import ThreadPoolExecutor

    library = logging.getLogger("some.library")
    pool = ThreadPoolExecutor(32)

    def line(call, place):
        return f"<call={call} place={place}>"

    def say(call, place):
        print(line(call, place))

    def warn(call, place):
        library.warning(line(call, place))

    async def pause():
        await asyncio.sleep(random.random() * 0.02)

    async def work(call):
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(in_task(call))
        await pause()
        say(call, "print")
        await pause()
        warn(call, "library")
        await asyncio.to_thread(say, call, "to_thread")
        await loop.run_in_executor(None, warn, call, "executor")
        await pause()
        thread = threading.Thread(target=say, args=(call, "threads"))
        thread.start()
        await asyncio.wrap_future(pool.submit(warn, call, "threads"))
        while thread.is_alive():
            await pause()
        print(line(call, "stderr"), file=sys.stderr)
        await pause()
        warnings.warn(line(call, "stderr"))
        await task

    async def in_task(call):
        await pause()
        say(call, "task")
        await pause()
        warn(call, "task")
"""
LINES = Counter(print=1, library=1, to_thread=1, executor=1, threads=2, stderr=2, task=2)

# What the users of a web framework write for their logs: a variable, and a filter that reads it.
FILTER = """
    import contextvars, logging

    request_id = contextvars.ContextVar("request_id", default="-")

    class RequestIds(logging.Filter):
        def filter(self, record):
            record.request_id = request_id.get()
            return True

    def configure():
        handler = logging.StreamHandler()
        handler.addFilter(RequestIds())
        handler.setFormatter(logging.Formatter("%(request_id)s %(levelname)s %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        logging.captureWarnings(True)
"""
AIOHTTP = """
    import os
    from aiohttp import web
    from filters import configure, request_id
    from work import work

    @web.middleware
    async def identified(request, handler):
        request_id.set(request.headers["x-request-id"])
        return await handler(request)

    async def call(request):
        await work((await request.json())["call"])
        return web.Response(text="done")

    configure()
    app = web.Application(middlewares=[identified])
    app.router.add_post("/", call)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None)
"""
FASTAPI = """
    from fastapi import FastAPI, Request
    from filters import configure, request_id
    from work import work

    configure()
    app = FastAPI()

    @app.middleware("http")
    async def identified(request: Request, call_next):
        request_id.set(request.headers["x-request-id"])
        return await call_next(request)

    @app.post("/")
    async def call(request: Request):
        await work((await request.json())["call"])
        return "done"
"""
FRAMEWORK = """
    import asyncio
    from work import work

    def handler(request):
        asyncio.run(work(request.get_json()["call"]))
        return "done"
"""
FRAMEWORK_ASGI = """
    from work import work

    async def handler(request):
        await work((await request.json())["call"])
        return "done"
"""
OURS = """
    from work import work

    async def handler(event: dict, context):
        await work(event["call"])
        return "done"
"""


@dataclass(frozen=True)
class Peer:
    """A server: its program, how it is started, and how a request names itself."""

    name: str
    source: str
    command: Callable[[int], list[str]]
    header: str = "x-request-id"
    path: str = "/"
    file: str = "main.py"


def _framework(port: int) -> list[str]:
    return ["functions-framework", "--target", "handler", "--port", str(port)]


PEERS = [
    Peer("functions-framework", FRAMEWORK, _framework, "function-execution-id"),
    Peer(
        "functions-framework `--asgi`",
        FRAMEWORK_ASGI,
        lambda port: [*_framework(port), "--asgi"],
        "function-execution-id",
    ),
    Peer("aiohttp", AIOHTTP, lambda _: ["python", "main.py"]),
    Peer(
        "FastAPI on uvicorn",
        FASTAPI,
        lambda port: ["uvicorn", "main:app", "--port", str(port), "--no-access-log"],
    ),
    Peer(
        "fc-event-service",
        OURS,
        lambda port: ["python", "-m", "service", "--port", str(port)],
        "x-fc-request-id",
        "/invoke",
        "index.py",
    ),
]

Counts = dict[str, Counter[str]]


def main() -> None:
    """Run every peer and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=50)
    options = parser.parse_args()
    found = {}
    for peer in PEERS:
        print(f"{peer.name}: {options.calls} calls, {options.at_once} at once", file=sys.stderr)
        found[peer.name] = run(peer, options.calls, options.at_once)
    print(table(found))


def run(peer: Peer, calls: int, at_once: int) -> Counts:
    """Start a peer, send it all calls, stop it; return what its lines were."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"work.py": WORK, "filters.py": FILTER, peer.file: peer.source}
        for file, source in sources.items():
            (folder / file).write_text(textwrap.dedent(source))
        log = folder / "log"
        process, port = start(peer, folder, log)
        try:
            asyncio.run(send_all(peer, port, calls, at_once))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        return judged(log.read_text(errors="replace"), calls)


def start(peer: Peer, folder: Path, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a peer, its output going to `log`, and wait until it answers."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    program, *arguments = peer.command(port)
    environ = os.environ | {
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "always",
        "LOG_EXECUTION_ID": "true",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / program), *arguments],
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=output,
        )
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process, port
    process.kill()
    raise SystemExit(f"{peer.name} does not start:\n{log.read_text()[-2000:]}")


async def send_all(peer: Peer, port: int, calls: int, at_once: int) -> None:
    """Send the calls, so many at once; each must succeed."""
    turn = asyncio.Semaphore(at_once)
    url = f"http://127.0.0.1:{port}{peer.path}"

    async def send(session: aiohttp.ClientSession, call: str) -> None:
        headers = {peer.header: f"req-{call}"}
        async with turn, session.post(url, json={"call": call}, headers=headers) as answer:
            if answer.status != 200:
                raise SystemExit(f"{peer.name}: {answer.status} {await answer.text()}")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(send(session, f"{n:05d}") for n in range(calls)))


PAYLOAD = re.compile(r"<call=(\d{5}) place=(\w+)>")


def judged(log: str, calls: int) -> Counts:
    """Count for each place the lines that carry their own call's id, another's, none, and those
    that were not written as one line.
    """
    counts: Counts = {place: Counter() for place in PLACES}
    for line in log.split("\n"):
        written = PAYLOAD.findall(line)
        ids = set(re.findall(r"req-(\d{5})", line))
        for call, place in written:
            if len(written) > 1:
                kind = "torn"
            elif not ids:
                kind = "none"
            else:
                kind = "right" if ids == {call} else "wrong"
            counts[place][kind] += 1
    for place, count in counts.items():
        if missing := LINES[place] * calls - sum(count.values()):
            count["torn"] += missing
    return counts


def table(found: dict[str, Counts]) -> str:
    """Return the counts as Markdown."""
    rows = [
        "| lines from | " + " | ".join(found) + " |",
        "| --- |" + " --- |" * len(found),
    ]
    for place, title in PLACES.items():
        cells = " | ".join(_cell(counts[place]) for counts in found.values())
        rows.append(f"| {title} | {cells} |")
    return "\n".join(rows)


def _cell(count: Counter[str]) -> str:
    total = sum(count.values())
    shares = {kind: count[kind] for kind in ("right", "wrong", "none", "torn") if count[kind]}
    if set(shares) == {"right"}:
        return f"all {total:,}"
    return ", ".join(f"{number:,} {kind}" for kind, number in shares.items())


if __name__ == "__main__":
    main()
