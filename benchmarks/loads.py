"""The load: the one request that all get, `wrk`, calls from here, and large bodies."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.servers import NotRun, Server
from service import protocol

ITEMS = 40
BODY = json.dumps(
    {"items": [{"id": n, "name": f"item number {n:02d}"} for n in range(ITEMS)]},
    separators=(",", ":"),
).encode()
STARTS_WITHIN = 15.0
ANSWERS_WITHIN = 15.0
POLL = 0.001
MB = 1 << 20
BLOCK = bytes(range(256)) * 256
"""64 KB of which large bodies are made."""


def request_id(number: int) -> str:
    """Return an id of the platform's form, with its length."""
    return f"1-6922{number % 0x10000:04x}-150c1267-{number:012x}"


def headers(identity: str, size: int) -> dict[str, str]:
    """Return what the platform sends with an event: its common headers, credentials among them."""
    return {
        "Host": "21.0.1.2",
        "User-Agent": "Go-http-client/1.1",
        "Content-Length": str(size),
        "Content-Type": "application/octet-stream",
        **protocol.common_headers(identity, handler="index.handler", timeout=60),
        "x-fc-access-key-id": "STS.NTxEXAMPLEkeyEXAMPLEkey00",
        "x-fc-access-key-secret": "EXAMPLEsecretEXAMPLEsecretEXAMPLEsecret00000",
        "x-fc-security-token": ("CAIS" + "EXAMPLEtoken" * 90)[:1024],
        "x-fc-service-name": "",
        "x-fc-service-logproject": "",
        "x-fc-service-logstore": "",
        "x-fc-tracing-opentracing-span-context": "",
        "x-fc-tracing-opentracing-span-baggages": "",
        "x-fc-tracing-jaeger-endpoint": "",
    }


def head(path: str, identity: str, size: int) -> bytes:
    """Return a request up to its body."""
    lines = [f"POST {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers(identity, size).items()]
    return "\r\n".join([*lines, "", ""]).encode()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def call(port: int, path: str, identity: str, body: bytes = BODY) -> Answer:
    """Send one event on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWERS_WITHIN) as sock:
        sock.sendall(head(path, identity, len(body)) + body)
        return _answer(sock)


def _answer(sock: socket.socket) -> Answer:
    response = http.client.HTTPResponse(sock, method="POST")
    response.begin()
    body = response.read()
    named = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, named, body)


def first_answer(server: Server, path: str, identity: str = "") -> Answer:
    """Try every millisecond until an event is answered."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        try:
            return call(server.port, path, identity or request_id(0))
        except (OSError, http.client.HTTPException):
            server.check_alive()
            time.sleep(POLL)
    raise NotRun(f"no answer within {STARTS_WITHIN:.0f} s: {server.last_words()}")


def warm(server: Server, path: str) -> None:
    """Wait for the first answer, and let caches and pools fill."""
    first_answer(server, path)
    for number in range(200):
        call(server.port, path, request_id(number))


# --- wrk

SCRIPT = """
local requests, turn = {}, 0

function init(_)
  for n = 1, count do
    requests[n] = head .. string.format("1-6922%04x-150c1267-%012x", n, n) .. tail
  end
end

function request()
  turn = turn % count + 1
  return requests[turn]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests":%d,"duration":%d,"p50":%d,"p99":%d,"status":%d,"socket":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Sent:
    """The body of wrk's requests: its size, and how Lua makes it."""

    size: int
    lua: str

    @property
    def requests(self) -> int:
        """How many requests that differ in their ids are made before the time runs."""
        return max(1, min(1024, 4 * MB // self.size))


def text(body: bytes) -> Sent:
    """Return a body that is given."""
    return Sent(len(body), json.dumps(body.decode()))


def filler(size: int) -> Sent:
    """Return a body of so many bytes that mean nothing."""
    return Sent(size, f'string.rep("x", {size})')


def waiting(milliseconds: int) -> Sent:
    """Return the small event, with how long its handler waits."""
    return text(BODY[:-1] + f',"wait":{milliseconds / 1000}}}'.encode())


SMALL = text(BODY)


def wrk_script(path: str, sent: Sent = SMALL) -> str:
    """Return wrk's script: requests that differ in their ids, made before the time runs."""
    before, after = head(path, "@ID@", sent.size).decode().split("@ID@")
    parts = f"{json.dumps(before)}, {json.dumps(after)} .. {sent.lua}"
    return f"local head, tail = {parts}\nlocal count = {sent.requests}\n{SCRIPT}"


@dataclass(frozen=True)
class Load:
    """A run of wrk: how many connections for how many seconds, and what a call takes at least."""

    connections: int
    seconds: int
    least: float = 0.0

    def run(self, server: Server, path: str, folder: Path, sent: Sent = SMALL) -> dict[str, float]:
        """Return requests a second, percentiles in ms, the share of its core that the server
        used, the microseconds that it computed for a call, and what went wrong.

        The time counts from the first moment at which an answer was possible: otherwise handlers
        that wait would lose a round of answers, whoever serves them.
        """
        script = folder / "wrk.lua"
        script.write_text(wrk_script(path, sent))
        url = f"http://127.0.0.1:{server.port}{path}"
        before = server.worked()
        options = ("-t1", f"-c{self.connections}", f"-d{self.seconds}s", "--timeout", "10s")
        found = subprocess.run(
            ["wrk", *options, "-s", str(script), url],
            capture_output=True,
            text=True,
            timeout=self.seconds + 30,
        )
        _, marker, result = found.stdout.partition("RESULT ")
        if not marker:
            raise NotRun(f"wrk failed: {(found.stderr or found.stdout).strip()[-200:]}")
        return self._figures(json.loads(result), server.worked() - before)

    def _figures(self, result: dict[str, int], worked: float) -> dict[str, float]:
        if not result["requests"]:
            raise NotRun("no request was answered")
        return {
            "rps": result["requests"] / (result["duration"] / 1e6 - self.least),
            "p50": result["p50"] / 1000,
            "p99": result["p99"] / 1000,
            "core": worked / (result["duration"] / 1e6),
            "cpu": worked / result["requests"] * 1e6,
            "non_2xx": result["status"],
            "socket_errors": result["socket"],
        }


def wrk_is_missing() -> str:
    """Say how to get wrk, or nothing where it is there."""
    if shutil.which("wrk"):
        return ""
    return "`wrk` is missing. It is Debian's package `wrk`: apt-get install wrk"


# --- large bodies


def send_bodies(port: int, path: str, count: int, size: int) -> tuple[float, list[Answer]]:
    """Send so many bodies at once from one small buffer; return the seconds, and the answers."""
    with ThreadPoolExecutor(count) as pool:
        began = time.perf_counter()
        sent = [pool.submit(_send_body, port, path, number, size) for number in range(count)]
        answers = [each.result(ANSWERS_WITHIN) for each in sent]
        return time.perf_counter() - began, answers


def _send_body(port: int, path: str, number: int, size: int) -> Answer:
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWERS_WITHIN) as sock:
        sock.sendall(head(path, request_id(number), size))
        for _ in range(size // len(BLOCK)):
            sock.sendall(BLOCK)
        return _answer(sock)


@cache
def digest(size: int) -> str:
    """Return the hash of a large body."""
    found = hashlib.sha256()
    for _ in range(size // len(BLOCK)):
        found.update(BLOCK)
    return found.hexdigest()
