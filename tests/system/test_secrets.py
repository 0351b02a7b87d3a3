"""Secrets stay with the call that was given them (promises S1 and S3, rows K1, K5 and F6).

Each server is given a value of its own in every place where secrets come from: variables, headers,
cookie, query, path and body. Then it meets everything that can go wrong; and no byte that it
writes, to its log or to a caller, may have a part of one of them, in any of the usual forms.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import dataclasses
import hashlib
import json
import pprint
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import orjson
import pytest
from multidict import CIMultiDict

import service
from service import protocol
from service.context.call import Context, Platform
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ServerProcess, request

# --- what is looked for

PART = 16
"""Characters of a secret that are already too many."""


def canary(place: str) -> str:
    """A secret of that place: short enough for a `repr` that is cut at 30 characters to show it,
    with signs that a URL must escape.
    """
    digest = base64.b64encode(hashlib.sha256(place.encode()).digest()).decode()
    return f"{digest[:7]}+/{digest[7:20]}"


VARIABLES = {
    name: canary(name)
    for name in (
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
        "DATABASE_PASSWORD",
    )
}
FIELDS = {
    name: canary(name)
    for name in (
        "x-fc-access-key-id",
        "x-fc-access-key-secret",
        "x-fc-security-token",
        "Authorization",
        "Cookie",
        "User-Agent",
        "x-api-key",
    )
}
QUERY, BODY = canary("query"), canary("body")
CANARIES = {**VARIABLES, **FIELDS, "query": QUERY, "body": BODY}


def forms(part: str) -> Iterator[bytes]:
    """How a part of a secret may be written: plain, for a URL, in hex, in base64 at any place."""
    data = part.encode()
    yield data
    yield quote(part, safe="").encode()
    yield quote_plus(part, safe="/").encode()
    yield data.hex().encode()
    yield data.hex().upper().encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data)
        # Without the characters that the bytes before and behind take part in.
        whole = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")


NEEDLES = {
    form: place
    for place, secret in CANARIES.items()
    for part in (secret[:PART], secret[-PART:])
    for form in forms(part)
}


def found_in(data: bytes) -> set[str]:
    """The places whose secrets stand in `data`, in part or whole."""
    return {place for form, place in NEEDLES.items() if form in data}


# --- the function

COMMON = '''
    import asyncio, contextlib, logging, os, pathlib, signal, sys, threading, time, traceback
    import service.app, service.http.connection, service.instance
    from service import metrics
    from service.calls.watchdog import Watchdog
    from service.http.answer_writer import AnswerWriter
    from service.http.arrivals import Arrivals

    stalled, stall = threading.Event(), Watchdog._stalled

    def tell_stall(*arguments):
        stall(*arguments)
        stalled.set()

    Watchdog._stalled = tell_stall
    LOST = {"async": 100, "sync": 0.8}

    class Opaque:
        def __init__(self, secret):
            self.secret = secret

        def __repr__(self):
            return f"Opaque({self.secret})"

    def initialize(context):
        password = os.environ["DATABASE_PASSWORD"]
        if pathlib.Path("broken").exists():
            raise RuntimeError("no database")

    async def pre_stop(context):
        print("pre_stop begins")
        while not pathlib.Path("gone").exists():
            await asyncio.sleep(0.02)

    def pre_freeze(context):
        raise LookupError("too warm", context, context.credentials)

    def shown(context):
        # What code writes that logs its arguments and its failures with all local variables.
        credentials = context.credentials
        logging.debug("%s %r %s %r", context, context, credentials, credentials)
        logging.debug("%s", [context, {"credentials": credentials}, (context.tracing,)])
        try:
            raise LookupError(context, credentials)
        except LookupError as failure:
            told = traceback.TracebackException.from_exception(failure, capture_locals=True)
            print("".join(told.format()))

    BROKEN = """
    def broken(*arguments, **named):
        setattr(place, name, whole)
        raise RuntimeError(f"{secret} {arguments}")
    """

    def break_once(place, name, secret):
        # A fault in the service itself, which quotes what it works on.
        scope = {"place": place, "name": name, "whole": getattr(place, name), "secret": secret}
        exec(compile(BROKEN, service.http.connection.__file__, "exec"), scope)
        setattr(place, name, scope["broken"])

    async def fails(secret, seconds=0.0):
        await asyncio.sleep(seconds)
        raise ValueError("no luck")

    def failing(secret):
        raise ValueError("no luck")

    async def act(what, secret, context, kind):
        key = context.credentials.access_key_secret
        if what == "show":
            shown(context)
        elif what == "raise":
            raise ValueError("no luck")
        elif what == "chain":
            try:
                int(secret)
            except ValueError as reason:
                raise RuntimeError("no luck") from reason
        elif what == "credentials":
            raise KeyError(context, context.credentials)
        elif what == "exit":
            sys.exit(3)
        elif what == "group":
            raise BaseExceptionGroup("no luck", [KeyboardInterrupt(), ValueError("none")])
        elif what == "hold":
            print("inside")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
        elif what == "late":
            await asyncio.sleep(LOST[kind])
        elif what == "swallow":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(LOST[kind])
        elif what == "set":
            return {"a": [{secret}]}
        elif what == "opaque":
            return [Opaque(secret)]
        elif what == "surrogate":
            return secret + chr(0xDC9B)
        elif what == "endless":
            value = [secret]
            value.append(value)
            return value
        elif what == "context":
            return {"context": context}
        elif what == "its-credentials":
            return context.credentials
        elif what == "stall":
            await asyncio.sleep(0)  # what follows is a turn of the call's own task
            stalled.wait(30 if kind == "async" else 0)  # in the way of the service's own loop
            return secret
        elif what == "task":
            asyncio.create_task(fails(secret))
            asyncio.create_task(fails(key, 0.3))
            await asyncio.sleep(0.01)
        elif what == "thread":
            thread = threading.Thread(target=failing, args=(secret,))
            thread.start()
            thread.join()
        elif what == "callback" and kind == "async":  # else the loop is the function's own
            asyncio.get_running_loop().call_soon(failing, secret)
            await asyncio.sleep(0.01)
        elif what == "warning":
            fails(secret)
        elif what == "encode":
            break_once(service.app, "encode", secret)
        elif what == "serve":
            break_once(AnswerWriter, "block", secret)
        elif what == "read":
            break_once(Arrivals, "receive", secret)
        elif what == "fields":
            named = {"apiKey": secret, "x-fc-security-token": key, "deep": {"password": [secret]}}
            context.bind(**named)
            logging.getLogger("orders").info("fields of a line", extra={"card_token": key, **named})
            with contextlib.suppress(ValueError):  # a label cannot have a credential's name
                metrics.counter("logins_total", labels=["api_token"]).inc(api_token=secret)
        elif what == "kept":
            shown(context)
            logging.debug("kept until it fails", extra={"authorization": [secret, key]})
            raise ValueError("no luck")
        elif what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "echo":
            print(secret, key)
            logging.info("%s", os.environ["DATABASE_PASSWORD"].encode().hex())
            return secret
        return {"size": len(secret)}
'''
TYPED = """
    from typing import Literal

    import msgspec

    class Event(msgspec.Struct, forbid_unknown_fields=True):
        secret: str
        number: int = 0
        kind: Literal["a", "b"] = "a"

    async def handler(event: Event, context):
        return await act(context.function.name, event.secret, context, "async")
"""
MODEL = """
    from typing import Literal

    from pydantic import BaseModel

    class Event(BaseModel, extra="forbid"):
        secret: str
        number: int = 0
        kind: Literal["a", "b"] = "a"

    def handler(event: Event, context):
        if context.function.name == "stall":
            time.sleep(0.9)
        return asyncio.run(act(context.function.name, event.secret, context, "sync"))
"""
LINES = """
    from typing import Literal, TypedDict

    from service import EventStream

    class Event(TypedDict, total=False):
        secret: str
        number: int
        kind: Literal["a", "b"]

    async def handler(event: EventStream, context):
        async for item in event.json_lines(Event):
            secret = item["secret"]
        return await act(context.function.name, secret, context, "async")
"""

# --- what it meets


def call(what: str = "", body: bytes | None = None, **fields: str) -> bytes:
    """A call with a secret in every place."""
    named = {name.replace("-", "_"): value for name, value in FIELDS.items()}
    sent = {"x_fc_function_name": what, **named, **fields}
    event = orjson.dumps({"secret": BODY}) if body is None else body
    path = f"/invoke?token={quote(QUERY, safe='+/')}"
    return request(event, **{"path": path, **sent})


def headed(*lines: str, first: str = "POST /invoke HTTP/1.1", body: str = "") -> bytes:
    """A request with these lines in its head, as they are."""
    return "\r\n".join([first, "Host: a", *lines, "", body]).encode("latin-1")


TOKEN = FIELDS["x-fc-security-token"]
KEY = FIELDS["x-fc-access-key-secret"]
REFUSED = {
    "control-character": headed(f"x-fc-security-token: {TOKEN}\x01{TOKEN}"),
    "nul": headed(f"x-fc-access-key-secret: {KEY}\x00"),
    "9-kb": headed(f"x-fc-security-token: {TOKEN * 400}\x7f"),
    "40-kb": headed(f"x-fc-security-token: {TOKEN * 1900}"),
    "1-mb": headed(f"x-fc-security-token: {TOKEN * 50_000}"),
    "no-colon": headed(f"x-fc-security-token {TOKEN}"),
    "space-before-colon": headed(f"x-fc-security-token : {TOKEN}"),
    "folded": headed("x-fc-security-token: a", f" {TOKEN}"),
    "in-a-name": headed(f"x-fc-{TOKEN}: a"),
    "in-the-method": headed(first=f"{TOKEN} /invoke HTTP/1.1"),
    "in-the-version": headed(first=f"POST /invoke HTTP/{TOKEN}"),
    "in-the-host": b"POST /invoke HTTP/1.1\r\nHost: " + f"{TOKEN}@a b\r\n\r\n".encode(),
    "in-the-target": headed(first=f"POST http://[{TOKEN}/invoke HTTP/1.1"),
    "long-line": headed(first=f"POST /invoke?{TOKEN * 500} HTTP/1.1"),
    "in-the-length": headed(f"Content-Length: {TOKEN}"),
    "in-the-coding": headed(f"Transfer-Encoding: {TOKEN}"),
    "in-the-expectation": headed(f"Expect: {TOKEN}", "Content-Length: 0"),
    "in-a-chunk-size": headed("Transfer-Encoding: chunked", body=f"{BODY}\r\n"),
    "in-a-chunk": headed("Transfer-Encoding: chunked", body=f"2\r\n{BODY}\r\n0\r\n\r\n"),
    "in-a-trailer": headed(
        "Transfer-Encoding: chunked", body=f"0\r\nx-fc-security-token: {TOKEN}\r\n\r\n"
    ),
    "two-tokens": headed(
        f"x-fc-security-token: {TOKEN}", f"x-fc-security-token: {KEY}", "Content-Length: 0"
    ),
    "two-ids": headed(f"x-fc-request-id: {TOKEN}", f"x-fc-request-id: {KEY}", "Content-Length: 0"),
    "a-bad-id": headed(f"x-fc-request-id: {TOKEN}", "Content-Length: 0"),
    "not-latin": headed(f"x-fc-security-token: {TOKEN}\xff\x9b", "Content-Length: 0"),
    "announced": headed("Content-Length: 99999999999", body=BODY),
    "other-path": request(BODY.encode(), path=f"/{QUERY}"),
    "other-method": request(b"", method="DELETE", path=f"/invoke?{QUERY}"),
    "http-trigger": request(BODY.encode(), path=f"/http-invoke?{QUERY}"),
    "pre-freeze": call(path="/pre-freeze"),
    "initialize": call(path="/initialize"),
    "metrics": call(method="GET", path=f"/metrics?{QUERY}", body=b""),
    "metrics-by-worker": call(method="GET", path=f"/metrics?by=worker&{QUERY}", body=b""),
}
SLOW = {
    "half-a-head": headed(f"x-fc-security-token: {TOKEN}")[:-2],
    "half-a-body": call(Content_Length="1000"),
}
"""What a client sends that then says nothing more."""
EVENTS = {
    "not-json": BODY.encode(),
    "half": orjson.dumps({"secret": BODY})[:-2],
    "no-utf-8": b'{"secret": "' + BODY.encode() + b'\xff"}',
    "no-object": orjson.dumps([BODY]),
    "no-number": orjson.dumps({"secret": "a", "number": BODY}),
    "no-member": orjson.dumps({"secret": "a", "kind": BODY}),
    "no-text": orjson.dumps({"secret": [BODY]}),
    "empty": b"",
}
ACTS = (
    *("", "show", "raise", "chain", "credentials", "exit", "group", "set", "opaque"),
    *(
        "surrogate",
        "endless",
        "context",
        "its-credentials",
        "task",
        "thread",
        "callback",
        "warning",
        "fields",
        "kept",
    ),
)
TIMED = ("late", "swallow")
CODES = {
    *("ValueError", "RuntimeError", "KeyError", "SystemExit", "BaseExceptionGroup", "LookupError"),
    *("UnserializableResult", "ServiceError", "FunctionTimeout", "InitializationError"),
    *("InvalidEvent", "PayloadTooLarge", "RequestTimeout", "Overloaded", "Stopping", "BadRequest"),
    *("NotAnEventFunction", "MethodNotAllowed", "NotFound"),
}
"""Every `errorType` that a server here must have answered with."""


async def exchange(server: ServerProcess, data: bytes) -> bytes:
    """What comes back on a connection of its own: an answer, or what there was of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        with suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
        return await answer(reader)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The bytes of one answer, or what came before the connection ended."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"(?i)content-length: (\d+)", head)
            return head + await reader.readexactly(int(size[1]) if size else 0)
    except asyncio.IncompleteReadError as cut:
        return cut.partial
    except ConnectionError:
        return b""


class Trial:
    """One server and all that it has answered."""

    def __init__(self, server: ServerProcess, workers: int) -> None:
        self.server = server
        self.workers = workers
        self.answers: dict[str, bytes] = {}

    async def until(self, pattern: str, count: int = 1) -> None:
        """Wait for lines of the log."""
        await asyncio.to_thread(self.server.wait_for, pattern, count=count)

    async def ask(self, named: Iterable[tuple[str, bytes]]) -> None:
        """Send requests, one after the other."""
        for name, data in named:
            self.answers[name] = await exchange(self.server, data)

    async def at_once(self, named: Iterable[tuple[str, bytes]]) -> None:
        """Send requests, all at once."""
        await asyncio.gather(*(self.ask([each]) for each in named))

    async def vanishes(self, data: bytes) -> None:
        """Send what is no whole request, and leave."""
        async with self.server.client() as client:
            await client.send(data)

    async def begins(self) -> None:
        """The initializer fails, and then does not."""
        (self.server.folder / "broken").touch()
        await self.until("no database")
        await self.ask([("broken", call()), ("broken-initialize", REFUSED["initialize"])])
        (self.server.folder / "broken").unlink()
        await self.ask([("mended", call())])

    async def serves(self) -> None:
        """Calls of every kind, and requests that are refused."""
        await self.ask(REFUSED.items())
        await self.ask((f"event-{name}", call(body=body)) for name, body in EVENTS.items())
        await self.ask((act, call(act)) for act in ACTS)
        timed = [(act, call(act, x_fc_function_timeout="0.3")) for act in TIMED]
        await self.at_once([*timed, *SLOW.items()])
        await self.vanishes(call()[:-3])
        await self.ask([("stall", call("stall"))])
        held = [(f"held-{number}", call("hold")) for number in range(6)]
        full = asyncio.create_task(self.at_once(held))
        await self.until("Overloaded")
        (self.server.folder / "go").touch()
        await full
        (self.server.folder / "go").unlink()

    async def breaks(self) -> None:
        """The service's own code fails, within a call, behind one and before one."""
        await self.ask([(act, call(act)) for act in ("encode", "serve", "read")])
        for number in range(8):  # until a worker that reads badly was met
            await self.ask([(f"after-{number}", call())])
        asked = ("metrics", "metrics-by-worker")  # now they have all that was met
        await self.ask((f"{name}-at-last", REFUSED[name]) for name in asked)

    async def stops(self) -> int:
        """A stop with a call in flight that outlasts it; return the exit code."""
        port = self.server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(call())
        self.answers["warm"] = await answer(reader)
        held = asyncio.create_task(self.ask([("held", call("hold"))]))
        await self.until("inside", self.server.log().count("inside") + 1)
        stop = asyncio.create_task(self.ask([("pre-stop", call(path="/pre-stop"))]))
        await self.until("pre_stop begins", self.workers)
        writer.write(call())
        self.answers["stopping"] = await answer(reader)
        writer.close()
        self.server.signal(signal.SIGTERM)
        (self.server.folder / "gone").touch()
        await asyncio.gather(held, stop)
        return await self.server.ends()

    def codes(self) -> set[str]:
        """The error types that were answered."""
        whole = b"\n".join(self.answers.values())
        return {code.decode() for code in re.findall(rb'"errorType":"(\w+)"', whole)}


OWN_ECHO = {"stall", "echo"}
"""What answers with its event: that is the function's result."""

DEV, ASYNCIO_DEBUG = ("-X", "dev"), {"PYTHONASYNCIODEBUG": "1"}
TRIALS = [
    pytest.param(TYPED, "text", DEV, {}, ("--loop", "uvloop"), id="text-dev"),
    pytest.param(
        *(MODEL, "json", (), ASYNCIO_DEBUG),
        ("--loop", "asyncio", "--log-level", "INFO", "--log-buffer"),
        id="kept-lines-json-asyncio-debug",
    ),
    pytest.param(
        LINES, "json", DEV, {}, ("--workers", "2", "--loop", "asyncio"), id="two-workers-json-dev"
    ),
    pytest.param(
        *(TYPED, "text", (), ASYNCIO_DEBUG, ("--workers", "2", "--error-trace")),
        id="two-workers-text-asyncio-debug",
    ),
]


@pytest.mark.parametrize(("source", "log_format", "options", "debug", "flags"), TRIALS)
async def test_no_secret_leaves_the_call_that_was_given_it(
    serve: Serve,
    tmp_path: Path,
    source: str,
    log_format: str,
    options: tuple[str, ...],
    debug: dict[str, str],
    flags: tuple[str, ...],
) -> None:
    """K1: through good calls, every error there is, refused heads, faults of handler, initializer
    and service, a stall, a crash and a stop, at debug level and in Python's debug modes, no part
    of a secret is in the log or in an answer.
    """
    folder = tmp_path / "function"
    folder.mkdir()
    (folder / "broken").touch()
    server = serve(
        COMMON + source,
        *("--log-level", "DEBUG", "--log-format", log_format, "--concurrency", "4"),
        *("--queue", "0", "--deadline-margin", "0", "--header-timeout", "0.4"),
        *("--log-calls", "all"),
        *("--body-timeout", "0.4", "--drain-timeout", "0.4", *flags),
        folder=folder,
        options=options,
        environ={**VARIABLES, **debug, "PYTHONFAULTHANDLER": "1"},
    )
    trial = Trial(server, workers=2 if "--workers" in flags else 1)
    await trial.begins()
    await trial.serves()
    await trial.breaks()
    if trial.workers > 1:
        await trial.ask([("crash", call("crash"))])
        await trial.until("serves again")
    assert await trial.stops() == 0
    told = {name: found_in(data) for name, data in trial.answers.items() if name not in OWN_ECHO}
    assert {name: places for name, places in told.items() if places} == {}
    log = "\n".join(server.lines + server.errors).encode(errors="surrogateescape")
    assert found_in(log) == set(), [line for line in log.split(b"\n") if found_in(line)][:5]
    # It was no easy life: every kind of failure was met.
    assert trial.codes() >= CODES
    assert b"the service failed: RuntimeError" in log
    assert log.count(b"RuntimeError") > 1
    for line in (b"fields of a line", b"kept until it fails", b"the call has ended", b"card_token"):
        assert line in log
    for name in ("metrics", "metrics-by-worker"):
        assert b"\nfc_calls_total{" in trial.answers[name]
    assert b"AttributeError" not in log  # what was to break was there
    assert b"the event loop has been blocked" in log or source == MODEL
    for name, data in trial.answers.items():
        shows_nothing_of_the_machine(name, data, folder, trace="--error-trace" in flags)


def shows_nothing_of_the_machine(name: str, data: bytes, folder: Path, *, trace: bool) -> None:
    """S3: an answer names no file but, with `error_trace`, the function's own."""
    for file in re.findall(rb"/(?:[\w.@+-]+/)+[\w.+-]+", data.partition(b"\r\n\r\n")[2]):
        assert trace, (name, file)
        assert file.decode() == str(folder / "index.py"), name
    assert b"site-packages" not in data, name
    assert len(data) < 64 * 1024, name


async def test_a_secret_that_the_function_writes_is_found(serve: Serve) -> None:
    """The search of these tests finds what user code itself lets out, in the log and the answer."""
    server = serve(COMMON + TYPED, environ=VARIABLES)
    answered = await exchange(server, call("echo"))
    assert found_in(answered) == {"body"}
    await asyncio.to_thread(server.wait_for, "Invoke End")
    log = server.log().encode()
    assert found_in(log) == {"body", "x-fc-access-key-secret", "DATABASE_PASSWORD"}


@pytest.mark.parametrize("place", CANARIES)
def test_the_search_knows_each_form_of_each_secret(place: str) -> None:
    """Plain, escaped, hex and base64 at every alignment, whole or a part of 16, is found."""
    secret = CANARIES[place]
    for part in (secret, secret[:PART], secret[-PART:]):
        for before in ("", "a", "bc", "def"):
            data = f"{before}{part}xyz".encode()
            for written in (
                data,
                data.hex().encode(),
                base64.b64encode(data),
                base64.urlsafe_b64encode(data),
                quote(data, safe="").encode(),
            ):
                assert found_in(written) == {place}


def test_show_config_and_start_errors_show_no_secret(tmp_path: Path) -> None:
    """K1: `--show-config`, a variable of another's that looks like a setting, and a module that
    fails at import, tell nothing of the environment.
    """
    (tmp_path / "index.py").write_text(
        "import os\nPASSWORD = os.environ['DATABASE_PASSWORD']\nraise ValueError('no luck')\n"
    )
    password = VARIABLES["DATABASE_PASSWORD"]
    alike = {"SERVICE_DB_PASSWORD": password}
    address = {"SERVICE_DATABASE": f"postgres://user:{password}@db/name"}
    for arguments, more, code in (
        (["--show-config"], {}, 0),
        ([], alike, 3),
        ([], address, 3),
        (["--port", "0", "--log-level", "DEBUG"], {}, 3),
        (["invoke", "--log-level", "DEBUG"], {}, 3),
    ):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-m", "service", *arguments],
            cwd=tmp_path,
            env={**VARIABLES, **more, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            timeout=ANSWERS_WITHIN,
        )
        assert done.returncode == code, done.stderr
        assert found_in(done.stdout + done.stderr) == set()


# --- what a context shows of itself


def a_context() -> Context:
    """The context of a call whose credentials come from its headers, beside the environment's."""
    key_id, key_secret, token = list(VARIABLES.values())[:3]
    platform = Platform("c-1", key_id, key_secret, token)
    return Context(CIMultiDict(FIELDS), "r1", platform=platform)


DUMPS: dict[str, Any] = {
    "asdict": dataclasses.asdict,
    "json": json.dumps,
    "orjson": orjson.dumps,
    "msgspec": msgspec.json.encode,
    "to_builtins": msgspec.to_builtins,
    "dict": dict,
    "list": list,
    "bytes": bytes,
}


@pytest.mark.parametrize("dump", DUMPS)
def test_a_context_cannot_be_dumped(dump: str) -> None:
    """K5: what makes a dictionary or JSON of any object refuses context and credentials."""
    for value in (a_context(), a_context().credentials):
        with pytest.raises(TypeError) as refusal:
            DUMPS[dump](value)
        assert found_in(str(refusal.value).encode()) == set()


@pytest.mark.parametrize("show", [repr, str, ascii, format, pprint.pformat, "%s".__mod__])
def test_a_context_shows_no_secret(show: Any) -> None:
    """K5: text of context, its parts, and containers of them has no part of a secret."""
    context = a_context()
    parts = [context, context.credentials, context.function, context.tracing, context._platform]
    assert show(context.credentials) == "Credentials(***)"
    for value in parts:
        assert found_in(show(value).encode()) == set()
        assert found_in(json.dumps([value], default=show).encode()) == set()
    assert found_in(repr(context._platform.__rich_repr__()).encode()) == set()  # rich's own text


def test_vars_of_a_context_show_no_secret_as_text() -> None:
    """K5: `vars` has the keys as values, for code that reads them there, and prints none."""
    for value in (a_context(), a_context().credentials):
        for shown in (repr(vars(value)), str(vars(value)), pprint.pformat(vars(value))):
            assert found_in(shown.encode()) == set()


def test_one_module_knows_the_names_of_credentials() -> None:
    """S1: the headers that bring credentials are named in `protocol` alone, the variables in
    `settings`: no other code that serves can look for them. The emulator makes them up.
    """
    names = {*protocol.CREDENTIALS, *list(VARIABLES)[:3]}
    assert len(names) == 6
    where: dict[str, set[str]] = {name: set() for name in names}
    for file in Path(service.__file__).parent.rglob("*.py"):
        if "emulator" in file.relative_to(Path(service.__file__).parent).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name in names:
                    if name.lower() in node.value.lower():
                        where[name].add(file.stem)
    assert where == {name: {"protocol"} if name.startswith("x-fc-") else {"load"} for name in names}
