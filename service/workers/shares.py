"""Several workers on one listening socket: how many, and what each may do."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from ..settings.table import Settings


def how_many(settings: Settings) -> int:
    """Return the number of workers: each has at least one call of `concurrency` to run."""
    number = settings.workers
    return min(cpus() if number == "auto" else number, settings.concurrency)


def cpus(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Return the CPUs that this container may use: its quota, rounded up, not the host's count."""
    usable = len(os.sched_getaffinity(0))
    try:
        quotas = list(_quotas(root, membership.read_text()))
    except OSError:  # no cgroups here
        quotas = []
    return max(1, min([usable, *map(math.ceil, quotas)]))


def _quotas(root: Path, membership: str) -> Iterator[float]:
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for base in (
            (root / "unified", root) if not controllers else (root / controllers, root / "cpu")
        ):
            # A container often sees the host's path here, and its own group at the top.
            place = base / path.lstrip("/")
            for folder in (place, *place.parents):
                if folder.is_relative_to(base):
                    yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        yield int(quota) / int(period)  # ValueError: "max", no limit
    with suppress(OSError, ValueError):
        quota = (folder / "cpu.cfs_quota_us").read_text()
        if int(quota) > 0:
            yield int(quota) / int((folder / "cpu.cfs_period_us").read_text())


def share(settings: Settings, place: int, number: int) -> Settings:
    """Return one worker's settings: its part of what the instance may do.

    The parts add up exactly, but for bodies: each worker can hold one of the largest.
    """

    def part(total: int) -> int:
        return total // number + (place < total % number)

    return replace(
        settings,
        concurrency=part(settings.concurrency),
        queue=part(settings.queue),
        body_budget=max(part(settings.body_budget), settings.max_body),
    )
