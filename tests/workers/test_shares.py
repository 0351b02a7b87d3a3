"""`workers`: how many there are, and what each may do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.settings.kinds import MIB
from service.settings.table import Settings
from service.workers import shares
from service.workers.shares import cpus, how_many, share


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
    monkeypatch.setattr(shares, "cpus", lambda: 5)
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
