"""What pages show of the local Function Compute: real processes, so `make proof` runs it."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.emulator.log import Log
from service.emulator.testing import emulator
from tests.cloud import cloud
from tests.docs.blocks import Block, blocks_of, runs, runs_each
from tests.docs.conftest import Paste
from tests.docs.screen import NUMBERS, assert_shows
from tests.emulator.play import free_port
from tests.emulator.test_command import emulate, replace
from tests.harness import run_service
from tests.site.pages import ROOT

pytestmark = pytest.mark.long

TOKEN = {r"token=\S+": "token="}


def copied(name: str, folder: Path) -> Path:
    """Copy a sample, or this repository's own function, to where it may write."""
    if name:
        return Path(shutil.copytree(ROOT / name, folder / "function"))
    for file in ("index.py", "s.yaml"):
        shutil.copy(ROOT / file, folder)
    return folder


@runs(
    "docs/emulator.md#function-compute-on-the-desk",
    "docs/emulator.md#function-compute-on-the-desk:2",
    "docs/emulator.md#function-compute-on-the-desk:3",
    "docs/console.md#the-console",
)
def test_a_run_of_the_sample_is_what_is_shown(shown: list[Block], tmp_path: Path) -> None:
    """Its first lines, the lines of a call, and the sum; another page shows a part of the first."""
    start, call, summary, console = shown
    copied("", tmp_path)
    [command] = start.commands
    flags = shlex.split(command)[4:]
    with emulate(tmp_path, *flags, "--console-port", "0") as running:
        url = running.url()
        running.read_to("^  stop ")
        begun = "\n".join(running.seen)
        assert_shows(start.output(command), begun, TOKEN)
        promised = console.output(*console.commands).rstrip() + "\n...\n"
        assert_shows(promised, begun, TOKEN)
        [say] = re.findall(r"try +python -m service (.*)", start.code)
        done = run_service(tmp_path, *shlex.split(say), "--url", url)
        assert done.returncode == 0, done.stderr
        running.read_to("Max Memory Used")
        wanted = re.compile("FC Invoke|hello from|Duration")
        lines = [line for line in running.seen if wanted.search(line)]
        assert_shows(call.code, "\n".join(lines), {r"\d+(\.\d+)? (ms|MB)": r"N \2"})
        running.stop()
    table = running.seen[next(n for n, line in enumerate(running.seen) if "cold starts" in line) :]
    assert_shows(summary.code, "\n".join(table), NUMBERS)


def test_the_lines_that_the_readme_begins_with_are_typed(tmp_path: Path) -> None:
    """In an empty folder, one after the other: the second one's own advice calls the function."""
    [begin] = [
        each
        for each in blocks_of("README.md", (ROOT / "README.md").read_text())
        if each.place == "README.md#begin"
    ]
    new, start = begin.commands
    assert new.endswith(" && cd my-function")
    made = run_service(tmp_path, *shlex.split(new.split(" && ")[0])[1:])
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "my-function"
    with emulate(folder, *shlex.split(start)[2:], "--console-port", "0") as running:
        url = running.url()
        say = running.read_to(r"try +python -m service (.*)")[1]
        done = run_service(folder, *shlex.split(say), "--url", url)
        assert done.returncode == 0, done.stderr
        assert b"you" in done.stdout
        assert running.stop() == 0


SPEC: dict[str, Any] = {
    "component": "fc3",
    "props": {
        "region": "cn-hangzhou",
        "functionName": "fn",
        "runtime": "custom.debian12",
        "handler": "index.handler",
        "code": ".",
        "timeout": 3,
        "environmentVariables": {"API_KEY": "old"},
        "customRuntimeConfig": {"command": ["python3", "-m", "service"], "port": 9000},
    },
}


def write_spec(folder: Path, changes: dict[str, Any] | None = None, *others: str) -> None:
    """Write the spec of a function `fn`, changed, and of others like it."""
    props = {**SPEC["props"], **(changes or {})}
    resources = {"fn": {"component": "fc3", "props": props}}
    for name in others:
        resources[name] = {"component": "fc3", "props": {**SPEC["props"], "functionName": name}}
    spec = {"edition": "3.0.0", "name": "app", "resources": resources}
    unfinished = folder / "unfinished"
    unfinished.write_text(yaml.safe_dump(spec, sort_keys=False))
    unfinished.rename(folder / "s.yaml")


@runs("docs/emulator.md#while-you-work-on-it")
def test_changes_are_told_as_shown(shown: list[Block], tmp_path: Path) -> None:
    """Of the code, of the file, and of a file that is broken."""
    pytest.importorskip("watchfiles")
    code = "def handler(event, context):\n    return 1\n"
    (tmp_path / "index.py").write_text(code)
    write_spec(tmp_path)
    with emulate(tmp_path, "--reload", "--no-console") as running:
        url = running.url()
        running.read_to("^  stop ")
        run_service(tmp_path, "invoke", "--function", "fn", "--url", url)
        replace(tmp_path / "index.py", "1", "2")
        running.read_to("index.py changed")
        changes = {"timeout": 60, "environmentVariables": {"API_KEY": "new"}}
        write_spec(tmp_path, changes, "nightly")
        running.read_to("nightly is added")
        write_spec(tmp_path, {**changes, "timeout": 0}, "nightly")
        running.read_to("is not played as it is now")
    wanted = re.compile(r"changed: new|^s\.yaml|^  (fn|nightly)\b.*(->|added)")
    lines = [line for line in running.seen if wanted.search(line)]
    blurs = {r"/\S*/(s\.yaml)": r"\1", r"s\.yaml:\d+:\d+": "s.yaml:N"}
    assert_shows(shown[0].code, "\n".join(lines), blurs)


@runs("docs/emulator.md#while-you-work-on-it:2")
async def test_a_wait_for_a_debugger_is_told_as_shown(shown: list[Block], tmp_path: Path) -> None:
    """By the first instance, once a call has asked for one."""
    pytest.importorskip("debugpy")
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return 1\n")
    write_spec(tmp_path)
    written, waits = bytearray(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def take(data: bytes) -> None:
        written.extend(data)
        if b"debugpy waits" in written:
            loop.call_soon_threadsafe(waits.set)

    async with emulator(tmp_path / "s.yaml", log=Log(take), debug=0) as fc:
        call = asyncio.ensure_future(fc.invoke("fn"))
        async with asyncio.timeout(60):
            await waits.wait()
        call.cancel()
    lines = [
        line for line in written.decode().splitlines() if re.search("starts on|debugpy waits", line)
    ]
    blurs = {r"port \d+": "port N", r"\S*python3?(\.\d+)? -m": "python3 -m"}
    assert_shows(shown[0].code, "\n".join(lines), blurs)


@runs("docs/sessions.md#sessions:3", "docs/sessions.md#sessions:2", "docs/sessions.md#sessions")
async def test_two_sessions_share_an_instance_as_shown(shown: list[Block], paste: Paste) -> None:
    """A third one gets another."""
    terminal, part, code = shown
    folder = Path(str(paste(code.code).__file__)).parent
    write_spec(folder, {**yaml.safe_load(part.code), "functionName": "carts", "memorySize": 512})
    instances: list[str] = []
    async with emulator(folder / "s.yaml") as fc:
        for command in terminal.commands:
            _curl, _header, session, _flag, item, *_ = shlex.split(command)
            name = session.removeprefix("x-session: ")
            outcome = await fc.invoke("carts", item, session=name)
            cart, where = terminal.output(command).split("x-fc-instance-id:")
            assert outcome.body.decode() == cart.strip()
            instances.append(outcome.instance_id)
            assert_shows(where, f" {outcome.instance_id}\n")
    assert len(set(instances[:3])) == 1
    assert instances[3] != instances[0]


def play(commands: str, folder: Path) -> str:
    """Type the commands of a sample, those behind `emulate &` to the emulator that it starts;
    return what they print.
    """
    _place, start, *rest = commands.splitlines()
    assert start == "python -m service emulate &"
    seen = ""
    with emulate(folder, "--no-console") as running:
        url = running.url()
        running.read_to("^  stop ")
        for line in rest:
            output = b""
            for one in line.split(" | "):
                words = shlex.split(one)[3:]
                asked = [*words, "--url", url] if words[0] == "invoke" else words
                done = run_service(folder, *asked, stdin=output)
                assert done.returncode == 0, done.stderr
                output = done.stdout
            seen += output.decode() + "\n"
    return seen


@runs(
    "examples/model/README.md#a-model-behind-batched",
    "examples/model/README.md#a-model-behind-batched:2",
)
def test_the_price_of_the_flat_is_what_is_shown(shown: list[Block], tmp_path: Path) -> None:
    """Of the sample of a model."""
    commands, told = shown
    assert_shows(told.code, play(commands.code, copied("examples/model", tmp_path)))


@runs(
    "examples/timer-report/README.md#timer-report",
    "examples/timer-report/README.md#timer-report:2",
)
def test_the_report_of_the_timer_is_what_is_shown(shown: list[Block], tmp_path: Path) -> None:
    """After one upload."""
    commands, told = shown
    seen = play(commands.code, copied("examples/timer-report", tmp_path))
    assert_shows(told.code, seen, {r'"until":"[^"]*"': '"until":"T"'})


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@runs_each("docs/emulator.md#calling-a-function")
async def test_the_client_of_the_sdk_is_answered(block: Block, paste: Paste) -> None:
    """At the emulator's address."""
    models = pytest.importorskip("alibabacloud_fc20230330.models")
    port = free_port()
    client = paste(block.code.replace("8000", str(port)), name="calling").client
    folder = Path.cwd()
    shutil.copy(ROOT / "index.py", folder)
    write_spec(folder)
    async with emulator(folder / "s.yaml", port=port):
        asked = models.GetFunctionRequest()
        answer = await asyncio.to_thread(client.get_function, "fn", asked)
        assert answer.body.function_name == "fn"


@runs("examples/thumbnails/README.md#thumbnails")
async def test_the_lines_of_twelve_thumbnails_look_as_shown(shown: list[Block]) -> None:
    """A line of each, in any order, and the platform's own."""
    pytest.importorskip("PIL.Image", reason="Pillow has no release for this Python")
    file = ROOT / "examples/thumbnails/tests/test_thumbnails.py"
    spec = importlib.util.spec_from_file_location("thumbnails_of_the_sample", file)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(sample := importlib.util.module_from_spec(spec))
    log: list[bytes] = []
    async with cloud() as oss:
        played = emulator(sample.spec(oss.url), code=file.parents[1], log=Log(log.append))
        async with played as fc:
            for number in range(12):
                oss.objects[f"/shop/incoming/{number}.png"] = sample.picture(800, 100 + number)
            uploads = (sample.upload(f"incoming/{number}.png") for number in range(12))
            await asyncio.gather(*(fc.invoke("thumbnails", each) for each in uploads))
    lines = b"".join(log).decode()
    for promised in shown[0].code.splitlines():
        shape = re.escape(re.sub(r"^1-\S+ ", "", promised)) if promised != "..." else ""
        free = re.sub(r"\d+(\\\.\d+)?(?= ms|\\ ms|\\ MB| MB)", r"[\\d.]+", shape)
        assert re.search(free, lines), promised
