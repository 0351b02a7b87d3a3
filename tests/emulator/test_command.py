"""`python -m service emulate`: a process of its own, typed as a user types it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from service.emulator.flags import add_flags
from service.emulator.instances.proc import process_table
from tests.emulator.play import WITHIN, free_port
from tests.harness import run_service

START = (sys.executable, "-m", "service")
HANDLER = """
import os, time

def handler(event, context):
    if event == b"raise":
        raise ValueError("as told")
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(event.decode() + "\\n")
    return event
"""
SPEC = """
edition: 3.0.0
name: tests
resources:
  fn:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: fn
      runtime: custom.debian12
      code: ./code
      handler: index.handler
      instanceConcurrency: {concurrency}
      timeout: 30
      customRuntimeConfig: {{command: [python3], args: [-m, service], port: {port}}}
      environmentVariables: {{LEDGER: {ledger}}}
      layers: ['acs:fc:cn-hangzhou:official:layers/Python311-Flask2x/versions/1']
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project: `s.yaml`, and the code beside it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "index.py").write_text(HANDLER)
    ledger = tmp_path / "ledger.txt"
    ledger.touch()
    spec = SPEC.format(port=free_port(), ledger=ledger, concurrency=10)
    (tmp_path / "s.yaml").write_text(spec)
    return tmp_path


class Emulator:
    """A running `emulate`; its log is read to the line that is waited for."""

    def __init__(self, folder: Path, *flags: str, start: Sequence[str] = START) -> None:
        self.process = subprocess.Popen(
            [*start, "emulate", "--port", "0", *flags],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.seen: list[str] = []

    def read_to(self, pattern: str) -> re.Match[str]:
        """Read to a line; a test that waits in vain is ended by its own limit."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(line.rstrip("\n"))
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern} did not come:\n" + "\n".join(self.seen))

    def url(self) -> str:
        """Where the API answers."""
        return self.read_to(r"http://\S+:\d+")[0]

    def stop(self) -> int:
        """Ctrl-C; return the exit code once all is read."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        self.seen += self.process.stdout.read().splitlines()  # what was read ahead is in it
        return self.process.wait(WITHIN)


@contextmanager
def emulate(folder: Path, *flags: str, start: Sequence[str] = START) -> Iterator[Emulator]:
    """An emulator that is gone afterwards, whatever happens."""
    running = Emulator(folder, *flags, start=start)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        with running.process:  # closes its pipe
            pass


def invoke(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type `python -m service invoke` for the function."""
    done = run_service(Path.cwd(), "invoke", *arguments, "--function", "fn", "--url", url)
    code, output, errors = done.returncode, done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, code, output, errors)


def of_project(folder: Path) -> set[int]:
    """The processes that have the ledger of the project in their environment."""
    needle = f"LEDGER={folder / 'ledger.txt'}".encode()

    def has_it(pid: int) -> bool:
        try:
            return needle in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False

    return {pid for pid in process_table() if has_it(pid)}


def test_the_console_is_opened_by_the_address_that_is_printed_and_by_nothing_else(
    folder: Path,
) -> None:
    """It is this user's: the token stands in a file that others cannot read, and a second start has
    the same one.
    """
    with emulate(folder) as fc:
        console, token = fc.read_to(r"console +(http://127.0.0.1:\d+)/\?token=(\S+)").groups()
        for address, status in ((f"{console}/", 401), (f"{console}/?token={token}", 200)):
            asyncio.run(fetch(address, status))
        assert fc.stop() == 0
    kept = folder / ".emulator" / "console-token"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().strip() == token


async def fetch(address: str, status: int) -> None:
    """Ask for a page as a browser does."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session, session.get(address) as response:
        assert response.status == status


def test_a_user_sees_what_is_played_calls_it_and_gets_a_summary(folder: Path) -> None:
    """The start names the function, how to call it and what is not played; each call is in one log;
    Ctrl-C stops the instances and sums up.
    """
    with emulate(folder) as fc:
        url = fc.url()
        fc.read_to(r"stop +Ctrl-C")
        shown = "\n".join(fc.seen)
        assert "fn: python3 -m service, 10 calls at once in an instance, 30 s, 512 MB" in shown
        assert re.search(r"warning: .*layers", shown)
        assert "warning: fn: instanceConcurrency is 10, the service's concurrency is 100" in shown
        done = invoke(url, '"hello"')
        assert (done.returncode, done.stdout) == (0, '"hello"')
        failed = invoke(url, "@timer")
        assert failed.returncode == 0
        (folder / "raise").write_bytes(b"raise")
        failed = invoke(url, str(folder / "raise"))
        assert failed.returncode == 1
        assert json.loads(failed.stdout)["errorMessage"] == "as told"
        fc.read_to("Duration: ")
        assert of_project(folder)
        assert fc.stop() == 0
    assert not of_project(folder)
    titles, row = (re.split(r"  +", line.strip()) for line in fc.seen[-2:])
    summary = dict(zip(titles, row, strict=True))
    assert float(summary.pop("p50 ms").replace(",", "")) <= float(
        summary.pop("p99 ms").replace(",", "")
    )
    assert summary == {
        "function": "fn",
        "calls": "3",
        "errors": "1",
        "throttled": "0",
        "cold starts": "1",
        "instances": "1",
    }


def replace(file: Path, before: str, after: str) -> None:
    """Change a file as editors do, at once."""
    new = file.with_suffix(".new")
    new.write_text(file.read_text().replace(before, after))
    new.replace(file)


def answer(url: str, event: bytes) -> bytes:
    """What the function answers through the API."""
    path = "/2023-03-30/functions/fn/invocations"
    with urllib.request.urlopen(f"{url}{path}", event, timeout=WITHIN) as got:
        return bytes(got.read())


def test_a_changed_file_is_followed(folder: Path) -> None:
    """New code answers the next call, a broken spec leaves the old one, a sound one is told."""
    with emulate(folder, "--reload") as fc:
        url = fc.url()
        fc.read_to(r"reload +changed code and a changed s\.yaml are followed")
        fc.read_to(r"stop +Ctrl-C")
        assert answer(url, b"1") == b"1"
        replace(folder / "code" / "index.py", "return event", "return event * 3")
        fc.read_to(r"^fn: index\.py changed: new calls get new instances; 1 old one ends its calls")
        assert answer(url, b"1") == b"111"
        replace(folder / "s.yaml", "timeout: 30", "timeout: 0")
        fc.read_to(r"^s\.yaml is not played as it is now: .*timeout")
        replace(folder / "s.yaml", "timeout: 0", "timeout: 40")
        fc.read_to(r"^  fn: timeout: 30 -> 40")
        assert answer(url, b"1") == b"111"
        assert fc.stop() == 0
    assert not of_project(folder)


def test_with_json_every_line_is_an_object(folder: Path) -> None:
    """Time, function, instance, request id and text, the summary too."""
    with emulate(folder, "--json") as fc:
        url = fc.url()
        assert invoke(url, "1").returncode == 0
        assert fc.stop() == 0
    entries = [json.loads(line) for line in fc.seen]
    assert all({"time", "function", "instance", "requestId", "text"} <= set(e) for e in entries)
    ids = {e["requestId"] for e in entries if e["text"].startswith("FC Invoke")}
    assert len(ids) == 1
    assert json.loads(entries[-1]["text"])["fn"]["calls"] == 1


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (("timeout: 30", "timeout: 0"), 2, r"resources\.fn\.props\.timeout: .*"),
        (("code: ./code", "code: ./built"), 2, r"built.*--code"),
        (("edition: 3.0.0", "edition: ["), 2, r"s\.yaml"),
    ],
    ids=["a value that the schema refuses", "no code", "no YAML"],
)
def test_a_file_with_mistakes_is_refused_with_their_places(
    folder: Path, change: tuple[str, str], code: int, told: str
) -> None:
    """`s deploy` itself would go on."""
    file = folder / "s.yaml"
    file.write_text(file.read_text().replace(*change))
    with emulate(folder) as fc:
        fc.read_to(told)
        assert fc.process.wait(WITHIN) == code


def test_a_file_that_is_not_there_is_told_with_the_flag_that_names_one(tmp_path: Path) -> None:
    """Outside of a project, the user learns how to name the file."""
    with emulate(tmp_path) as fc:
        fc.read_to(r"s\.yaml: there is no such file; --spec FILE names another one")
        assert fc.process.wait(WITHIN) == 2


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--port", "99999"), "--port: 99999 is not from 0 to 65,535"),
        (("--max-instances", "-3"), "--max-instances: -3 is not from 1 to 10,000"),
        (("--max-instances", "0"), "--max-instances: 0 is not from 1"),
        (("--max-instances", "1.5"), "--max-instances: '1.5' is not a whole number"),
        (("--idle-timeout", "nan"), "--idle-timeout: nan is not from 0.1 to 86,400"),
        (("--start-timeout", "soon"), "--start-timeout: 'soon' is not a number"),
    ],
)
def test_a_flag_out_of_range_is_told_with_the_range(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], told: str
) -> None:
    """Nothing is started with it."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(flags)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_terminal_that_is_closed_stops_the_instances_by_the_book(folder: Path) -> None:
    """SIGHUP is a stop like the others: pre-stop runs."""
    file = folder / "s.yaml"
    hooks = "timeout: 30\n      instanceLifecycleConfig: {preStop: {handler: index.pre_stop}}"
    file.write_text(file.read_text().replace("timeout: 30", hooks))
    code = folder / "code" / "index.py"
    code.write_text(code.read_text() + "\ndef pre_stop(context):\n    print('has stopped')\n")
    with emulate(folder) as fc:
        assert invoke(fc.url(), "1").returncode == 0
        fc.process.send_signal(signal.SIGHUP)
        fc.read_to("has stopped")
        fc.read_to("has ended with code 0")
        assert fc.process.wait(WITHIN) == 0


def test_a_state_file_that_cannot_be_written_is_told_as_that(folder: Path) -> None:
    """The advice is to name another one: moving it away changes nothing."""
    (folder / "state").mkdir()
    with emulate(folder, "--state", "state") as fc:
        fc.read_to(r"state: .*name another file")
        assert fc.process.wait(WITHIN) == 3


def test_kill_9_of_the_emulator_leaves_no_instance(folder: Path) -> None:
    """Frozen ones neither: they would hold their port for ever."""
    with emulate(folder) as fc:
        url = fc.url()
        assert invoke(url, "1").returncode == 0
        assert of_project(folder)
        fc.process.kill()
        fc.process.wait()
        end = time.monotonic() + WITHIN
        while of_project(folder) and time.monotonic() < end:
            time.sleep(0.02)
        assert not of_project(folder)


async def queue(url: str, numbers: range) -> list[int]:
    """Send asynchronous calls; return those that were accepted."""
    target = f"{url}/2023-03-30/functions/fn/invocations"
    accepted = []
    async with aiohttp.ClientSession() as session:

        async def send(number: int) -> None:
            headers = {"x-fc-invocation-type": "Async"}
            async with session.post(target, data=str(number), headers=headers) as answer:
                if answer.status == 202:
                    accepted.append(number)

        await asyncio.gather(*map(send, numbers))
    return accepted


def test_kill_9_with_1000_queued_calls_loses_none(folder: Path) -> None:
    """After the next start each that was accepted is delivered, at least once."""
    ledger = folder / "ledger.txt"
    held = "    while not os.path.exists('go'):\n        time.sleep(0.005)\n    with open"
    (folder / "code" / "index.py").write_text(HANDLER.replace("    with open", held))
    with emulate(folder, "--max-instances", "1") as fc:
        accepted = asyncio.run(queue(fc.url(), range(1000)))
        fc.process.kill()
    assert len(accepted) == 1000
    assert not ledger.read_text()
    (folder / "code" / "go").touch()
    with emulate(folder, "--max-instances", "1") as fc:
        fc.url()
        end = time.monotonic() + WITHIN
        while len(set(ledger.read_text().split())) < 1000 and time.monotonic() < end:
            time.sleep(0.05)
        assert fc.stop() == 0
    assert {int(number) for number in ledger.read_text().split()} == set(range(1000))
    assert os.path.exists(folder / ".emulator" / "tasks.db")
