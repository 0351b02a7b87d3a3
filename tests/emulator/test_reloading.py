"""A running emulator follows its files: instances in use end their calls, and no call is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.emulator import reloading as module
from service.emulator.calls import Outcome, PlatformError
from service.emulator.instances.conditions import Options
from service.emulator.local import FunctionCompute
from service.emulator.log import Log
from service.emulator.queue.task import Status
from service.emulator.reloading import FileWatch, Reloading, is_wanted, top_most
from service.emulator.spec.differences import differences
from service.emulator.spec.model import DeployedFunction, Spec
from service.errors import StartError, UsageError
from tests.emulator.play import WITHIN, Entries, function, playing

# --- instances of code that has changed


async def test_a_call_that_runs_ends_in_its_instance_and_the_next_gets_another(
    tmp_path: Path,
) -> None:
    """The old instance is stopped by the book once it is vacant, not before."""
    async with playing() as play:
        running = play.begin(f"until {tmp_path / 'done'}")
        await play.log.wait_for("runs: ")
        assert play.pool.renew("its code has changed") == 1
        after = await play.call("after")
        assert after.cold
        assert not any("SIGTERM" in text or "has ended" in text for text in play.log.texts)
        (tmp_path / "done").touch()
        async with asyncio.timeout(WITHIN):
            before = await running
        assert (before.body, before.error_type) == (b"done", "")
        assert before.instance_id != after.instance_id
        await play.log.wait_for("has ended")
        assert [each.id for each in play.instances] == [after.instance_id]


async def test_calls_that_wait_for_a_start_are_made_before_the_instance_goes(
    tmp_path: Path,
) -> None:
    """What is just starting when the code changes serves those who wait for it, and nobody else."""
    gate = tmp_path / "gate"
    gate.touch()
    async with playing(function(environment={"GATE": str(gate)}, concurrency=5)) as play:
        gate.unlink()
        waiting = [play.begin("waited") for _ in range(3)]
        await play.log.wait_for("starts on port")
        assert play.pool.renew("its code has changed") == 1
        later = play.begin("later")
        await play.log.wait_for("starts on port", 2)
        gate.touch()
        async with asyncio.timeout(WITHIN):
            outcomes = await asyncio.gather(*waiting, later)
        assert [each.error_type for each in outcomes] == [""] * 4
        old = {each.instance_id for each in outcomes[:3]}
        assert len(old) == 1
        assert outcomes[3].instance_id not in old
        await play.log.wait_for("has ended")
        assert not (await play.call("again")).cold


async def test_provisioned_instances_are_replaced_at_once() -> None:
    """Nobody needs to call for that."""
    async with playing(function(provisioned=2)) as play:
        play.pool.renew("its code has changed")
        await play.log.wait_for("runs: ", 4)
        await play.log.wait_for("has ended", 2)
        assert len(play.instances) == 2
        assert not (await play.call("after")).cold


async def test_where_only_one_instance_may_be_calls_wait_until_the_old_one_is_gone(
    tmp_path: Path,
) -> None:
    """A server with a port of its own in its code can be replaced."""
    async with playing(max_instances=1) as play:
        running = play.begin(f"until {tmp_path / 'done'}")
        await play.log.wait_for("runs: ")
        play.pool.renew("its code has changed")
        later = play.begin("later")
        await asyncio.sleep(0)
        assert len(play.instances) == 2
        (tmp_path / "done").touch()
        async with asyncio.timeout(WITHIN):
            assert (await running).body == b"done"
            assert (await later).body == b"later"


async def test_a_stop_waits_for_no_call_of_old_code(tmp_path: Path) -> None:
    """It ends such an instance as it ends all others."""
    async with playing(stop_grace=0.1) as play:
        running = play.begin(f"until {tmp_path / 'never'}")
        await play.log.wait_for("runs: ")
        play.pool.renew("its code has changed")
    with pytest.raises(PlatformError):
        await running


# --- functions of a file that has changed


@asynccontextmanager
async def played(folder: Path, *functions: DeployedFunction) -> AsyncIterator[FunctionCompute]:
    """An emulator of some functions."""
    fc = FunctionCompute(
        of(*functions),
        log=Log(Entries().write, as_json=True),
        state=folder / "tasks.db",
        options=Options(private_tmp=False),
    )
    async with asyncio.timeout(WITHIN):
        await fc.start()
    try:
        yield fc
    finally:
        async with asyncio.timeout(WITHIN):
            await fc.stop()


def of(*functions: DeployedFunction) -> Spec:
    """What a file with these functions comes to."""
    return Spec({each.name: each for each in functions})


async def becomes(fc: FunctionCompute, name: str, task_id: str, *wanted: Status) -> None:
    """Wait until an asynchronous call has a status."""
    async with asyncio.timeout(WITHIN):
        while (task := fc.task(name, task_id)) is None or task.status not in wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the queue tells nobody


async def test_functions_are_added_changed_and_removed(tmp_path: Path) -> None:
    """A call that runs ends in the instance that it is in; further ones find what the file says
    now, asynchronous ones, too.
    """
    kept, changed, removed = (function(name=name) for name in ("kept", "changed", "removed"))
    async with played(tmp_path, kept, changed, removed) as fc:
        before = {name: (await fc.invoke(name, "x")).instance_id for name in fc.spec.functions}
        done = tmp_path / "done"
        running = [
            asyncio.ensure_future(fc.invoke(name, f"until {done}"))
            for name in ("changed", "removed")
        ]
        await fc.submit("removed", f"until {done}", "of-the-removed")
        await becomes(fc, "removed", "of-the-removed", Status.RUNNING)
        other = function(name="changed", memory=1024)
        await fc.update(of(kept, other, function(name="added")))
        assert (await fc.invoke("kept", "x")).instance_id == before["kept"]
        after = await fc.invoke("changed", "x")
        assert after.cold
        assert (await fc.invoke("added", "y")).body == b"y"
        await fc.submit("added", "z", "of-the-added")
        await becomes(fc, "added", "of-the-added", Status.SUCCEEDED)
        with pytest.raises(PlatformError, match="'removed' does not exist"):
            await fc.submit("removed", "x")
        with pytest.raises(KeyError):
            await fc.invoke("removed", "x")
        done.touch()
        async with asyncio.timeout(WITHIN):
            outcomes: list[Outcome] = await asyncio.gather(*running)
        assert [each.body for each in outcomes] == [b"done"] * 2
        assert outcomes[0].instance_id == before["changed"]
        assert int(after.instance_id[-12:], 16) == 2
        await becomes(fc, "removed", "of-the-removed", Status.SUCCEEDED)
        assert fc.figures["removed"].calls == 3
        assert fc.figures["changed"].calls == 3


def test_what_differs_is_told_by_its_key() -> None:
    """Values of variables are not: they may be secrets."""
    old = {"timeout": 3, "environmentVariables": {"KEY": "secret", "SAME": "1"}}
    new = {"timeout": 60, "environmentVariables": {"KEY": "other", "SAME": "1"}}
    before = of(told("fn", old, timeout=3), told("gone", {}), told("same", {}))
    after = of(told("fn", new, timeout=60), told("new", {}), told("same", {}))
    assert list(differences(before, after)) == [
        "new is added",
        "gone is removed: its calls end, and its instances stop",
        "fn: timeout: 3 -> 60, environmentVariables.KEY",
    ]
    by_env = of(told("same", {}, environment={"FROM": "a file"}))
    assert list(differences(of(told("same", {})), by_env)) == [
        "same: what its file or its environment gives it has changed"
    ]


def told(name: str, props: Mapping[str, Any], **fields: Any) -> DeployedFunction:
    """A function with the keys of a file."""
    return function(name=name, props=props, port=9000, **fields)


# --- what is told


class Fake:
    """Takes changes, and keeps what it was told."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.renewed: list[str] = []

    def renew(self, function: str, reason: str) -> int:
        """Note it."""
        self.renewed.append(function)
        return len(self.renewed)

    async def update(self, spec: Spec) -> None:
        """Take it."""
        self.spec = spec


async def test_each_change_is_told_and_a_broken_file_leaves_the_old_one(tmp_path: Path) -> None:
    """Code is each function's own; what is not understood is told with its reason, once."""
    path, readings = tmp_path / "s.yaml", list[Spec | UsageError]()
    one = told("one", {}, code=tmp_path / "one")
    two = told("two", {}, code=tmp_path)
    fake, lines = Fake(of(one, two)), list[str]()

    def read() -> Spec:
        found = readings.pop(0)
        if isinstance(found, UsageError):
            raise found
        return found

    reloading = Reloading(fake, path, read, lines.append)
    await reloading.take({tmp_path / "one" / "index.py", tmp_path / "one" / "b.py"})
    assert fake.renewed == ["one", "two"]
    assert lines == [
        "one: b.py and 1 more changed: new calls get new instances; 1 old one ends its calls",
        "two: one/b.py and 1 more changed: new calls get new instances; 2 old ones end theirs",
    ]
    lines.clear()
    readings += [of(one, two), UsageError("no such key"), of(one)]
    for _ in range(3):
        await reloading.take({path})
    assert fake.renewed == ["one", "two"]
    assert lines == [
        "s.yaml was read anew: nothing that is played has changed",
        "s.yaml is not played as it is now: no such key",
        "s.yaml was read anew:",
        "  two is removed: its calls end, and its instances stop",
    ]
    assert list(fake.spec.functions) == ["one"]


async def test_a_change_that_fails_is_told_and_the_next_one_is_followed(tmp_path: Path) -> None:
    """Whatever a file makes of its reader: the watch goes on."""
    path, faults = tmp_path / "s.yaml", [RecursionError("too deep")]
    fake, lines = Fake(of(told("one", {}, code=tmp_path))), list[str]()

    def read() -> Spec:
        if faults:
            raise faults.pop()
        return of()

    reloading = Reloading(fake, path, read, lines.append)
    await reloading.take({path})
    assert lines == ["a change could not be followed: RecursionError: too deep"]
    await reloading.take({path})
    assert list(fake.spec.functions) == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *(("index.py", True), ("bootstrap", True), (".env", True), ("s.yaml", True)),
        *(("ledger.db", False), ("out.log", False), ("calls.jsonl", False), ("blob", False)),
    ],
)
def test_what_a_function_writes_is_no_change_of_its_code(name: str, wanted: bool) -> None:
    """Sources and configuration are; databases, logs and recordings are not."""
    assert is_wanted(f"/code/{name}") == wanted


def test_a_folder_within_another_is_watched_once() -> None:
    """Each change is seen once."""
    folders = [Path("/p"), Path("/p/code"), Path("/q/code"), Path("/pp")]
    assert top_most(folders) == {Path("/p"), Path("/q/code"), Path("/pp")}


# --- the watch


class Watch:
    """Watches nothing, and notes when it begins and ends."""

    def __init__(self, roots: set[Path], notes: list[str], begun: asyncio.Event) -> None:
        self.number = 1 + sum("begins" in note for note in notes)
        self._notes, self._begun = notes, begun

    async def begin(self) -> None:
        """Note it."""
        self._notes.append(f"{self.number} begins")

    def end(self) -> None:
        """Note it."""
        self._notes.append(f"{self.number} ends")
        self._begun.set()


async def test_what_changes_while_it_starts_and_while_other_folders_are_watched_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read once more when it is watched, and a watch ends when the next one sees."""
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (project := tmp_path / "project").mkdir()
    before, now = of(told("fn", {}, code=project)), of(told("fn", {}, code=elsewhere))
    notes, begun = list[str](), asyncio.Event()
    monkeypatch.setattr(module, "FileWatch", lambda roots, _tell: Watch(roots, notes, begun))
    fake = Fake(before)
    reloading = Reloading(fake, project / "s.yaml", lambda: now, notes.append)
    await reloading.start()
    async with asyncio.timeout(WITHIN):
        await begun.wait()
    assert fake.spec is now
    await reloading.stop()
    assert [note for note in notes if note[0].isdigit()] == [
        "1 begins",
        "2 begins",
        "1 ends",
        "2 ends",
    ]


async def test_a_folder_that_cannot_be_watched_ends_the_start(tmp_path: Path) -> None:
    """It says which, and why."""
    with pytest.raises(StartError, match=rf"--reload cannot watch {tmp_path}/gone: "):
        await FileWatch({tmp_path / "gone"}, lambda _paths: None).begin()


async def test_without_watchfiles_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(StartError, match=r"--reload needs watchfiles: .*the extra `reload`"):
        FileWatch({tmp_path}, lambda _paths: None)
