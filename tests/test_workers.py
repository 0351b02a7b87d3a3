"""`workers`: how many there are, what each may do, and what the parent makes of their ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from service import workers
from service.errors import StartError, UsageError
from service.server import listen
from service.settings import MIB, Settings
from service.workers import News, Parent, Worker, cpus, how_many, share
from tests.assembly import logged


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with eight CPUs, all of which this process may run on."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


def cgroup(folder: Path, files: dict[str, str], membership: str) -> int:
    """What `cpus` makes of these files."""
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "cgroup").write_text(membership)
    return cpus(folder / "fs", folder / "cgroup")


@pytest.mark.parametrize(
    ("files", "membership", "found"),
    [
        ({"cpu.max": "200000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "5000 100000\n"}, "0::/\n", 1),
        ({"cpu.max": "max 100000\n"}, "0::/\n", 8),
        ({"cpu.max": "9900000 100000\n"}, "0::/\n", 8),
        ({"cpu.max": "300000 100000\n"}, "0::/docker/of/the/host\n", 3),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, "0::/a/b\n", 2),
        ({"unified/a/cpu.max": "200000 100000\n"}, "0::/a\n", 2),
        (
            {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            "4:memory:/m\n3:cpu,cpuacct:/\n",
            3,
        ),
        (
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "400000\n",
                "cpu,cpuacct/x/cpu.cfs_period_us": "200000\n",
            },
            "3:cpu,cpuacct:/x\n",
            2,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1\n"}, "1:cpu:/\n0::/\n", 8),
        ({"cpu.max": "no number\n"}, "0::/\n", 8),
        ({}, "", 8),
    ],
    ids=[
        "v2",
        "v2, a part",
        "v2, less than one",
        "v2, no limit",
        "v2, more than there are",
        "v2, the host's path",
        "v2, the group above",
        "v2 beside v1",
        "v1",
        "v1, two controllers",
        "v1, no limit",
        "unreadable",
        "none",
    ],
)
def test_auto_is_the_containers_quota(
    tmp_path: Path, files: dict[str, str], membership: str, found: int
) -> None:
    """The quota counts, rounded up; without one, what the process may run on."""
    assert cgroup(tmp_path, files, membership) == found


def test_without_cgroups_the_usable_cpus_count(tmp_path: Path) -> None:
    """No /proc/self/cgroup: no quota."""
    assert cpus(tmp_path, tmp_path / "none") == 8


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        (Settings(), 1),
        (Settings(workers=4), 4),
        (Settings(workers=4, concurrency=3), 3),
        (Settings(workers="auto"), 5),
        (Settings(workers="auto", concurrency=2), 2),
    ],
)
def test_there_are_as_many_workers_as_are_wanted_and_can_be_used(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, number: int
) -> None:
    """Never more than calls may run; `auto` asks for the CPUs, a number does not."""
    monkeypatch.setattr(workers, "cpus", lambda: 5)
    assert how_many(settings) == number


@pytest.mark.parametrize("number", [1, 2, 3, 7, 64])
def test_the_limits_are_shared_out_exactly(number: int) -> None:
    """The parts add up to the whole; the first workers have what is left over."""
    whole = Settings(concurrency=100, queue=11, body_budget=10_000 * MIB, max_body=MIB)
    parts = [share(whole, place, number) for place in range(number)]
    for name in ("concurrency", "queue", "body_budget"):
        values = [getattr(part, name) for part in parts]
        assert sum(values) == getattr(whole, name)
        assert values == sorted(values, reverse=True)
        assert values[0] - values[-1] <= 1


def test_each_worker_can_hold_the_largest_body() -> None:
    """A budget that is too small to be shared is not."""
    whole = Settings(body_budget=40 * MIB, max_body=32 * MIB)
    assert [share(whole, place, 2).body_budget for place in range(2)] == [32 * MIB] * 2


# --- the parent, without processes


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    """A parent of two workers that serve; nothing is forked, and the time does not run."""
    settings = Settings(host="127.0.0.1", port=0)
    before = {number: signal.getsignal(number) for number in workers.WATCHED}
    with logged() as (logs, _):
        made = Parent(
            2, settings, listen(settings), SimpleNamespace(WORKERS={}, pid=os.getpid()), logs
        )
        made._due.clear()
        made._workers = {11: Worker(0, since=0.0), 12: Worker(1, since=0.0)}
        made._announced = True
        monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: 1000.0))
        yield made
        made._signals.leave()
        workers._close(made._sock, made._tell, made._boxes)
        made._news.close()
        os.close(made._alive)
        if made._stopping is None:
            os.close(made._alive_writer)
    assert {number: signal.getsignal(number) for number in workers.WATCHED} == before


def test_a_place_is_given_up_after_six_bad_starts(parent: Parent) -> None:
    """The waits in between grow; one worker that lasted begins the count anew."""
    parent._workers.clear()
    waits = []
    for _ in range(5):
        parent._replace(Worker(0), "ended with code 1")
        waits.append(parent._due[0])
    assert waits == [1000.0, 1000.25, 1000.5, 1001.0, 1002.0]
    parent._replace(Worker(0, since=0.0), "ended with code 1")
    assert parent._stopping is None
    for _ in range(6):
        parent._replace(Worker(0), "was killed by SIGSEGV")
    assert parent._stopping is not None
    assert "6 times in a row" in str(parent._failure)
    assert "was killed by SIGSEGV" in str(parent._failure)


def test_a_process_that_cannot_be_made_is_a_bad_start(parent: Parent) -> None:
    """No memory for another process: it is tried again later."""

    def spawn_worker() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    parent._arbiter.spawn_worker = spawn_worker
    del parent._workers[12]
    parent._due[1] = 0.0
    parent._hire()
    assert 1 in parent._due
    assert not set(workers.WATCHED) & signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (3, StartError)])
def test_a_failure_that_a_worker_tells_is_raised_in_the_parent(
    parent: Parent, code: int, kind: type[StartError]
) -> None:
    """With its message and its exit code; news of a process that is not known are passed over."""
    seat = parent._seat(0)
    seat._tell(News(99, failure="of a stranger", exit_code=3))
    seat._tell(News(11, failure="no such thing", exit_code=code))
    parent._read_news()
    worker = parent._workers.pop(11)
    parent._workers.clear()
    parent._note_end(worker, code << 8)
    assert type(parent._failure) is kind
    assert str(parent._failure) == "no such thing"


def test_a_worker_that_is_killed_while_all_stop_is_told_in_the_exit_code(parent: Parent) -> None:
    """Calls were lost: that is not a clean stop."""
    parent._stop()
    parent._note_end(parent._workers.pop(11), 0)
    assert parent._code == 0
    parent._note_end(parent._workers.pop(12), signal.SIGKILL)
    assert parent._code == 1
    parent._stop(StartError("too late"))
    assert parent._failure is None


def test_what_does_not_end_is_killed_at_last(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the time is up twice: after a freeze it is up at once."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    parent._kill_overdue()
    parent._stop()
    for _ in range(2):
        parent._kill_overdue()
        assert killed == []
        parent._stopping = 0.0
        parent._kill_overdue()
    assert killed == [(11, signal.SIGKILL), (12, signal.SIGKILL)]


def test_an_echo_of_the_first_signal_is_no_second_one(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second signal kills; within half a second it is the first one, sent twice."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    parent._on_signal(signal.SIGCHLD)
    assert parent._stopping is None
    parent._on_signal(signal.SIGTERM)
    parent._on_signal(signal.SIGTERM)
    assert (killed, parent._code) == ([], 0)
    parent._first_signal = 0.0
    parent._on_signal(signal.SIGINT)
    assert (len(killed), parent._code) == (2, 130)
