"""The file of asynchronous calls: what it keeps, and what it refuses to open."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.emulator.queue.store import Store, StoreError, TaskExists
from service.emulator.queue.task import FINISHED, AsyncTask, Status, Step, TaskQuery

NOW = 1_790_000_000.0


def call(task_id: str = "t", function: str = "fn", **values: Any) -> AsyncTask:
    """A task that was just submitted."""
    task = AsyncTask(function, task_id, f"1-{task_id}", b"{}", submitted=NOW)
    return replace(task.moved(Status.ENQUEUED, NOW), **values)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the calls are kept."""
    return tmp_path / "async.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    """A store with a file of its own."""
    opened = Store(file)
    yield opened
    opened.close()


def transactions(store: Store) -> list[str]:
    """The transactions that are begun from now on."""
    seen: list[str] = []
    note = lambda text: seen.append(text) if text.startswith("BEGIN") else None  # noqa: E731
    store._connection.set_trace_callback(note)
    return seen


async def test_a_task_is_there_when_the_file_is_opened_again(file: Path) -> None:
    """Everything of a task outlives the process, from its event to the last step."""
    first = Store(file)
    task, written = first.add(call(event=b"\x00\xff"))
    await written
    task = task.moved(Status.RUNNING, NOW + 1, "why", runs=1, instance_id="c-1")
    first.save(task)
    first.close()
    again = Store(file)
    assert again.load(task.number) == again.find("fn", "t") == task
    assert again.unfinished() == [task.number]
    again.close()


def test_the_file_has_a_write_ahead_log(file: Path, store: Store) -> None:
    """A transaction that a kill cuts in two is not in the file at all."""
    assert file.read_bytes()[18:20] == b"\2\2"  # SQLite's sign for it
    assert file.with_name("async.db-wal").exists()


async def test_what_is_written_in_one_turn_is_one_transaction(store: Store) -> None:
    """1,000 calls that are accepted together cost one commit, and each is told of it."""
    seen = transactions(store)
    told = [store.add(call(f"t{index}"))[1] for index in range(1000)]
    assert not any(written.done() for written in told)
    await asyncio.gather(*told)
    assert len(seen) == 1
    assert len(store.unfinished()) == 1000


async def test_who_reads_sees_what_is_not_written_yet(store: Store) -> None:
    """A task can be read in the turn in which it was added."""
    task, _ = store.add(call())
    assert store.find("fn", "t") == task


async def test_an_id_is_a_tasks_own(store: Store) -> None:
    """A second task of that id is refused, before and after the first is on disk; another
    function's is not.
    """
    _, written = store.add(call())
    with pytest.raises(TaskExists):
        store.add(call())
    await written
    with pytest.raises(TaskExists):
        store.add(call())
    store.add(call(function="other"))


async def test_the_oldest_finished_tasks_are_removed(file: Path) -> None:
    """Finished tasks stay up to a number, give or take a tenth; those that wait always stay."""
    small = Store(file, kept=20)
    waiting, _ = small.add(call("waits"))
    for index in range(100):
        task, written = small.add(call(f"t{index}"))
        small.save(task.moved(Status.SUCCEEDED, NOW + index))
        await written
        small.flush()
    kept, _ = small.page(TaskQuery("fn", limit=100))
    finished = [task.id for task in kept if task.ended]
    assert 20 <= len(finished) <= 22
    assert finished == [f"t{index}" for index in range(99, 99 - len(finished), -1)]
    assert small.unfinished() == [waiting.number]
    small.close()
    again = Store(file, kept=10)
    again.save(waiting.moved(Status.SUCCEEDED, NOW + 200))
    again.close()
    last = Store(file)
    assert len(last.page(TaskQuery("fn", limit=100))[0]) == 10
    last.close()


async def test_a_list_has_pages_and_filters(store: Store) -> None:
    """Tasks are listed by function, status, prefix and time, in either order, page by page."""
    for index in range(10):
        task, _ = store.add(call(f"{'even' if index % 2 == 0 else 'odd'}-{index}"))
        store.save(replace(task, submitted=NOW))
    store.add(call("even-elsewhere", "other"))
    for number in (2, 4):
        task = store.load(number) or call()
        store.save(task.moved(Status.FAILED, NOW))

    def ids(query: TaskQuery) -> list[str]:
        return [task.id for task in store.page(query)[0]]

    assert ids(TaskQuery("fn", status="Failed")) == ["odd-3", "odd-1"]
    assert ids(TaskQuery("fn", prefix="even", ascending=True, limit=2)) == ["even-0", "even-2"]
    assert ids(TaskQuery("fn", prefix="%")) == []
    assert ids(TaskQuery("fn", begin=NOW + 1)) == ids(TaskQuery("fn", end=NOW - 1)) == []
    for ascending in (True, False):
        query, seen = TaskQuery("fn", ascending=ascending, limit=4), []
        while True:
            tasks, after = store.page(query)
            seen += [task.number for task in tasks]
            if after is None:
                break
            query = replace(query, after=after)
        assert seen == sorted(range(1, 11), reverse=not ascending)


async def test_a_full_disk_is_told_to_who_waits(store: Store) -> None:
    """A call that was not written fails; what became of others is written when there is room."""
    task, written = store.add(call())
    await written
    pages = store._value("PRAGMA page_count")
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    store.save(task.moved(Status.SUCCEEDED, NOW, "x" * 50_000))
    _, written = store.add(call("large", event=bytes(100_000)))
    with pytest.raises(StoreError, match="full"):
        await written
    store._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    _, written = store.add(call("small"))
    await written
    found = store.find("fn", "t")
    assert found is not None
    assert found.status is Status.SUCCEEDED
    assert store.find("fn", "large") is None


async def test_what_cannot_be_written_holds_nothing_up(store: Store) -> None:
    """A text that is no text fails alone: the next call is written."""
    _, written = store.add(call(error="\udcff"))
    with pytest.raises(StoreError):
        await written
    _, written = store.add(call())
    await written


def test_a_file_in_use_is_not_opened_twice(file: Path) -> None:
    """Two emulators do not share a file; when the first has ended, the second may have it."""
    first = Store(file)
    with pytest.raises(StoreError, match="in use by another emulator"):
        Store(file)
    first.close()
    Store(file).close()


def test_a_newer_file_is_refused(file: Path) -> None:
    """A format that is not known is named, and the file stays as it is."""
    Store(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(StoreError, match=r"newer version \(format 7, known: 1\)"):
        Store(file)


def test_another_programs_database_is_refused(file: Path) -> None:
    """A database that is not ours is not written to."""
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="another program's database"):
        Store(file)


@pytest.mark.parametrize("content", [b"no database" * 1000, b"SQLite format 3\x00" + bytes(4080)])
def test_a_broken_file_is_refused(file: Path, content: bytes) -> None:
    """What is no database, or the rest of one, is told in one sentence."""
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"async\.db is .*move it away"):
        Store(file)
    assert file.read_bytes() == content


async def test_a_file_with_broken_pages_is_refused(file: Path) -> None:
    """A file that begins well and is broken behind is told in the same sentence."""
    store = Store(file)
    for index in range(100):
        store.add(call(f"t{index}"))
    store.close()
    with open(file, "r+b") as pages:  # noqa: ASYNC230 - nothing else runs
        pages.seek(4096)
        pages.write(b"\xff" * 8192)
    with pytest.raises(StoreError, match=r"is broken \(.*malformed\): move it away"):
        Store(file)


def test_a_file_with_other_columns_is_refused(file: Path) -> None:
    """What says that it is ours and is not, is not used."""
    Store(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE task RENAME COLUMN event TO payload")
    connection.close()
    with pytest.raises(StoreError, match="other columns"):
        Store(file)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(StoreError, match="missing"):
        Store(tmp_path / "missing" / "async.db")


times = st.floats(0, 4e9, allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    event=st.binary(),
    result=st.binary(),
    error=texts,
    steps=st.lists(st.builds(Step, st.sampled_from(Status), times, texts)),
)
def test_what_is_read_is_what_was_written(
    event: bytes, result: bytes, error: str, steps: list[Step]
) -> None:
    """Any bytes and any text come back as they were."""

    async def there_and_back() -> None:
        store = Store(":memory:")
        task, _ = store.add(call(event=event))
        task = replace(task, result=result, error=error, steps=tuple(steps))
        store.save(task)
        assert store.load(task.number) == task
        store.close()

    asyncio.run(there_and_back())


@pytest.mark.parametrize("status", Status)
def test_a_state_ends_a_task_or_does_not(status: Status) -> None:
    """A task has an end exactly in the states that are final."""
    assert bool(call().moved(status, NOW).ended) == (status in FINISHED)
