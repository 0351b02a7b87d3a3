"""The command line as a person types it: real processes, their output and their exit codes."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.settings.table import ROWS
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, RUNS_WITHIN, run_service

HELLO = """
    import logging

    def handler(event, context):
        print("a print")
        logging.getLogger("mine").info("a record")
        return {"size": len(event), "id": context.request_id}
"""


def service(
    folder: Path, *arguments: str, source: str = HELLO, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m service` to its end."""
    (folder / "index.py").write_text(textwrap.dedent(source))
    return run_service(folder, *arguments, stdin=stdin)


# --- invoke


@pytest.mark.parametrize("event", ["", "@event.json"], ids=["empty", "file"])
def test_invoke_takes_an_empty_event_and_a_file_behind_options_too(
    tmp_path: Path, event: str
) -> None:
    """An empty event is an event of no bytes, and a command may stand behind options."""
    (tmp_path / "event.json").write_bytes(b"[1]\n")
    size = 4 if event else 0
    for flag in ([event], ["--event", event]):
        done = service(tmp_path, "--log-level", "INFO", "invoke", *flag, stdin=b"not this")
        assert (done.returncode, orjson.loads(done.stdout)["size"]) == (0, size), done.stderr


def test_invoke_prints_the_result_on_stdout_and_the_log_on_stderr(tmp_path: Path) -> None:
    """`invoke` keeps the result and the log apart, so that the result can be piped on."""
    done = service(tmp_path, "invoke", "--event", '{"name":"x"}')
    assert done.returncode == 0
    assert orjson.loads(done.stdout)["size"] == 12
    start, printed, record, end = done.stderr.decode().splitlines()
    request_id = orjson.loads(done.stdout)["id"]
    assert start == f"FC Invoke Start RequestId: {request_id}"
    assert printed.endswith(f" {request_id} [STDOUT] a print")
    assert record.endswith(f" {request_id} [INFO] a record")
    assert end == f"FC Invoke End RequestId: {request_id}"


@pytest.mark.parametrize("how", ["os.system('echo of a child')", "os.write(1, b'of a child')"])
def test_the_result_of_invoke_stands_alone_on_stdout(tmp_path: Path, how: str) -> None:
    """What a child process of the function's writes, or the function itself past Python's streams,
    is on stderr.
    """
    source = f"""
        import os

        def handler(event, context):
            {how}
            return {{"a": 1}}
    """
    done = service(tmp_path, "invoke", source=source)
    assert done.stdout == b'{"a":1}'
    assert b"of a child" in done.stderr


def test_what_runs_at_exit_is_logged(tmp_path: Path) -> None:
    """An exit function of the function's prints and logs as its handler does."""
    source = """
        import atexit, logging

        @atexit.register
        def last():
            print("printed at exit")
            logging.warning("logged at exit")

        def handler(event, context):
            return 1
    """
    done = service(tmp_path, "invoke", source=source)
    assert done.stdout == b"1"
    lines = done.stderr.decode().splitlines()
    assert lines[-2].endswith(" - [STDOUT] printed at exit")
    assert lines[-1].endswith(" - [WARNING] logged at exit")


COMMANDS = [["--show-config"], ["event"], ["invoke"]]
LIKE_THEM = [["--help"], ["--version"], ["event", "oss.put"]]


@pytest.mark.parametrize(
    "command",
    [*COMMANDS, *(pytest.param(each, marks=pytest.mark.long) for each in LIKE_THEM)],
    ids=" ".join,
)
def test_a_reader_that_has_left_is_no_failure(tmp_path: Path, command: list[str]) -> None:
    """`... | true` says nothing of a broken pipe, and ends with the command's own code."""
    (tmp_path / "index.py").write_text("def handler(event, context): return 'x' * 100_000")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run_service(tmp_path, *command, stdout=writer)
    finally:
        os.close(writer)
    assert done.returncode == 0
    assert b"Broken" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_lines_of_a_calls_threads_carry_its_id_in_invoke_too(tmp_path: Path) -> None:
    """A pool of the module's and a thread of the call's log as they do in a running service."""
    source = """
        import threading
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor()

        def handler(event, context):
            pool.submit(print, "in the pool").result()
            thread = threading.Thread(target=print, args=("in a thread",))
            thread.start()
            thread.join()
            return context.request_id
    """
    done = service(tmp_path, "invoke", source=source)
    lines = done.stderr.decode().splitlines()
    for text in ("in the pool", "in a thread"):
        assert any(f" {done.stdout.decode()} [STDOUT] {text}" in line for line in lines)


def test_a_python_without_the_packages_is_told_in_a_line() -> None:
    """A Python that has nothing installed says what is missing and where it is, without a
    traceback.
    """
    root = Path(__file__).parents[2]
    command = [sys.executable, "-S", "-m", "service"]
    done = subprocess.run(command, cwd=root, capture_output=True, timeout=RUNS_WITHIN)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "msgspec is not installed for this Python: `make run`" in line


def test_invoke_exits_with_1_and_the_error_json_when_the_function_fails(tmp_path: Path) -> None:
    """A function error is exit code 1; stdout has the JSON that a caller would get."""
    done = service(tmp_path, "invoke", source="def handler(event, context): 1 / 0")
    assert done.returncode == 1
    assert orjson.loads(done.stdout)["errorType"] == "ZeroDivisionError"
    log = done.stderr.decode()
    assert "index.py" in log
    assert "1 / 0" in log
    assert ", Error: Unhandled function error" in log


@pytest.mark.parametrize(
    ("argument", "stdin", "size"),
    [("event.bin", b"", 5), ("-", b"123", 3), ('"text"', b"", 6), ("@timer", b"", None)],
    ids=["a file", "stdin", "JSON", "a sample"],
)
def test_invoke_takes_its_event_from(
    tmp_path: Path, argument: str, stdin: bytes, size: int | None
) -> None:
    """`--event` is a file, stdin, JSON text or a sample's name."""
    (tmp_path / "event.bin").write_bytes(b"\x00\x01\x02\x03\x04")
    done = service(tmp_path, "invoke", "--event", argument, stdin=stdin)
    assert done.returncode == 0
    got = orjson.loads(done.stdout)["size"]
    assert got == size if size is not None else got > 20


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("nofile.json", "neither a file nor JSON"),
        ("@no.such", "@no.such"),
        ("x" * 9000, "neither a file nor JSON"),
    ],
    ids=["missing file", "unknown sample", "very long"],
)
def test_invoke_refuses_an_event_that_it_cannot_find(
    tmp_path: Path, argument: str, told: str
) -> None:
    """A wrong `--event` is exit code 2 and one line that says what is allowed."""
    done = service(tmp_path, "invoke", "--event", argument)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert told in line


async def test_invoke_sends_the_event_to_a_running_service(serve: Serve, tmp_path: Path) -> None:
    """`--url` calls over HTTP with the platform's headers; a function error is exit code 1."""
    server = serve(
        """
        def handler(event, context):
            if event == b'"fail"':
                raise ValueError("no")
            return [context.function.name, context.function.memory, event.decode()]
        """
    )
    port = await asyncio.to_thread(lambda: server.port)
    url = f"http://127.0.0.1:{port}"
    for target in (url, f"{url}/", f"{url}/invoke"):
        done = await asyncio.to_thread(service, tmp_path, "invoke", "--url", target)
        assert (done.returncode, orjson.loads(done.stdout)) == (0, ["local", 512, "{}"])
    done = await asyncio.to_thread(service, tmp_path, "invoke", "--url", url, "--event", '"fail"')
    assert done.returncode == 1
    assert orjson.loads(done.stdout)["errorMessage"] == "no"


def test_invoke_says_when_nothing_answers_at_the_url(tmp_path: Path) -> None:
    """A URL at which nothing listens is exit code 2 and one line."""
    done = service(tmp_path, "invoke", "--url", "http://127.0.0.1:9")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "is the service running there?" in line


def test_invoke_through_the_api_says_when_no_emulator_answers(tmp_path: Path) -> None:
    """`--function` needs an emulator: exit code 2 and one line that says how to start it."""
    url = "http://127.0.0.1:9"
    done = service(tmp_path, "invoke", "@timer", "--function", "fn", "--url", url, source="")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "python -m service emulate" in line


async def test_invoke_through_the_api_has_result_and_log_apart(tmp_path: Path) -> None:
    """The body is on stdout, the log's tail on stderr; a function error and a refusal are exit code
    1.
    """

    async def handler(call: web.Request) -> web.Response:
        if call.match_info["name"] == "none":
            error = {"Code": "FunctionNotFound", "Message": "no none", "RequestId": "1"}
            return web.json_response(error, status=404)
        headers = {"X-Fc-Log-Result": base64.b64encode(b"a line\n").decode()}
        if call.match_info["name"] == "fails":
            headers["X-Fc-Error-Type"] = "UnhandledInvocationError"
        return web.Response(body=await call.read(), headers=headers)

    app = web.Application()
    app.router.add_post("/2023-03-30/functions/{name}/invocations", handler)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))

        async def call(name: str) -> subprocess.CompletedProcess[bytes]:
            flags = ("--event", '"x"', "--function", name, "--url", url, "--tail")
            return await asyncio.to_thread(service, tmp_path, "invoke", *flags, source="")

        done = await call("fn")
        assert (done.returncode, done.stdout, done.stderr) == (0, b'"x"', b"a line\n")
        done = await call("fails")
        assert (done.returncode, done.stdout) == (1, b'"x"')
        assert done.stderr == b"a line\nX-Fc-Error-Type: UnhandledInvocationError\n"
        done = await call("none")
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr == b"FunctionNotFound: no none (request 1)\n"


# --- event


def test_event_lists_the_samples_and_prints_one(tmp_path: Path) -> None:
    """Without a name the list, with a name the event itself, with its changes."""
    done = service(tmp_path, "event")
    assert done.returncode == 0
    assert re.search(
        r"^oss\.put +OssEvent +OSS: an object was put$", done.stdout.decode(), re.MULTILINE
    )
    done = service(tmp_path, "event", "timer", "--set", "payload=ping", "--set", "triggerName=a")
    assert done.returncode == 0
    assert orjson.loads(done.stdout)["payload"] == "ping"
    assert orjson.loads(done.stdout)["triggerName"] == "a"


def test_event_refuses_what_is_not_there(tmp_path: Path) -> None:
    """A wrong name is exit code 2 and one line that says what there is."""
    done = service(tmp_path, "event", "oss.putt", source="")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "near to it: oss.put" in line


# --- help, settings, start


def test_help_tells_a_newcomer_what_to_type(tmp_path: Path) -> None:
    """`--help` has the commands, examples, the command's own flags and the exit codes."""
    text = service(tmp_path, "--help").stdout.decode()
    assert "--port" not in text.replace("--handler app.main", "")
    for word in (
        "serve",
        "invoke",
        "event",
        "examples:",
        "--help-settings",
        "--reload",
        "Exit codes",
    ):
        assert word in text


def test_help_settings_tells_each_setting(tmp_path: Path) -> None:
    """By groups, with what it takes and its default; and `--help` of a command its own flags."""
    text = service(tmp_path, "invoke", "--help-settings", source="").stdout.decode()
    for row in ROWS.values():
        assert row.flag in text
        assert f"{row.group}:" in text
    assert "--event" not in text
    own = service(tmp_path, "invoke", "--help", source="").stdout.decode()
    assert "--event" in own
    assert "--concurrency" not in own


def test_show_config_has_one_setting_a_line_with_its_source(tmp_path: Path) -> None:
    """`--show-config` prints name, value and source, and serves nothing."""
    done = service(tmp_path, "--show-config", "--port", "9001")
    assert done.returncode == 0
    lines = {line.split()[0]: line.split(None, 2)[1:] for line in done.stdout.decode().splitlines()}
    assert lines["port"] == ["9001", "flag --port"]
    assert lines["concurrency"][0] == "100"


@pytest.mark.parametrize(
    ("flags", "told"),
    [(["--port", "x"], "--port"), (["--concurrency", "0"], "1-200"), (["--nope"], "--nope")],
    ids=["wrong type", "out of range", "unknown flag"],
)
def test_a_wrong_flag_is_exit_code_2(tmp_path: Path, flags: list[str], told: str) -> None:
    """A10: a wrong flag ends the start with exit code 2 and names the flag or what is allowed."""
    done = service(tmp_path, *flags)
    assert done.returncode == 2
    assert told in done.stderr.decode()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def handler(event, context):\n    return (", "index.py line 2: syntax error"),
        ("import nosuchmodule\ndef handler(event, context): ...", "index.py line 1"),
        ("import sys\nsys.exit(0)", "index.py line 2"),
        ("def other(event, context): ...", "has no 'handler'"),
        ("def handler(event): ...", "a handler takes (event, context)"),
        ("def handler(event, context):\n    yield b''", "is a generator"),
    ],
    ids=["syntax", "import", "exit at import", "missing", "signature", "generator"],
)
def test_a_handler_that_cannot_be_served_is_exit_code_3(
    tmp_path: Path, source: str, told: str
) -> None:
    """A9: a start that fails is exit code 3 and one line on stderr: where, what, and what to do."""
    done = service(tmp_path, "--port", "0", source=source)
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert told in line


def test_why_there_is_no_start_is_json_in_a_log_of_json(tmp_path: Path) -> None:
    """One object on stderr, with the fields of every other line; the exit code is the same."""
    done = service(tmp_path, "--port", "0", "--log-format", "json", source="1 / 0")
    assert done.returncode == 3
    (told,) = map(orjson.loads, done.stderr.splitlines())
    assert told.keys() == {"time", "level", "logger", "requestId", "message"}
    assert (told["level"], told["requestId"]) == ("ERROR", "-")
    assert "index.py" in told["message"]


def test_a_working_directory_that_was_removed_is_exit_code_3(tmp_path: Path) -> None:
    """The start ends with one line that says what is wrong and what to do."""
    folder = tmp_path / "removed"
    folder.mkdir()
    start = f'rmdir "{folder}"; exec "{sys.executable}" -m service --port 0'
    done = subprocess.run(["sh", "-c", start], cwd=folder, capture_output=True, timeout=RUNS_WITHIN)
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert "the working directory cannot be read" in line
    assert "change into the function's folder" in line


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_warning_of_the_start_is_told_once(serve: Serve, tmp_path: Path, workers: str) -> None:
    """However many workers load the module: a variable that is no setting, a file that hides a
    module, a function that may be a hook, a handler that is not found, a signal that is kept.
    """
    (tmp_path / "profile.py").touch()
    source = """
        import signal

        signal.signal(signal.SIGTERM, lambda number, frame: None)

        def initialize():
            pass

        def handler(event, context):
            return event
    """
    environ = {"SERVICE_NO_SUCH": "1", "FC_FUNCTION_HANDLER": "other.handler"}
    server = serve(source, "--workers", workers, folder=tmp_path, environ=environ)
    server.wait_for("  stop     Ctrl-C")
    assert server.stop() == 0
    warnings = (
        "SERVICE_NO_SUCH: no setting of the service has this name",
        "profile.py hides Python's own module",
        "is not taken for the function's initializer",
        "'other.handler'.* is served",
        "the function's own handler of SIGTERM is not called",
    )
    told = {text: sum(bool(re.search(text, line)) for line in server.lines) for text in warnings}
    assert told == dict.fromkeys(warnings, 1)


def test_the_banner_says_what_is_served_where_and_how_to_try_it(serve: Serve) -> None:
    """The start prints the handler, its kind, its hooks, the limits and a curl line that works."""
    server = serve("def handler(e, c): return b'hi'\ndef pre_stop(c): ...", "--concurrency", "7")
    port = server.port
    line = server.wait_for(r"^  try ")
    banner = "\n".join(server.lines)
    assert "serves index.handler on" in banner
    assert "plain def" in banner
    assert "index.pre_stop" in banner
    assert "7 calls at once" in banner
    assert f"http://127.0.0.1:{port}/invoke" in line
    done = subprocess.run(
        ["sh", "-c", f"curl -s {line.split('curl', 1)[1]}"],
        capture_output=True,
        timeout=ANSWERS_WITHIN,
    )
    assert done.stdout == b"hi"
