"""The sizes that an instance may have (docs/platform.md section 8)."""

from __future__ import annotations

import math
from dataclasses import dataclass

MEMORY_STEP, LEAST_MEMORY, MOST_MEMORY = 64, 128, 32_768
"""MB."""

CPU_STEPS = 20
"""Steps of a vCPU: one is 0.05."""

LEAST_CPU, MOST_CPU = 0.05, 16.0
LEAST_RATIO, MOST_RATIO = 1024, 4096
"""MB of memory for each vCPU, at least and at most."""

INSTANCE_THREADS = 1024
"""Processes and threads of an instance together."""


@dataclass(frozen=True, slots=True)
class InstanceSize:
    """vCPU, and memory in MB."""

    cpu: float
    memory: int


def smallest(cpu: float, memory: float) -> InstanceSize:
    """Return the smallest size that has so much of both, or the largest there is."""
    steps = _steps_up(max(cpu, LEAST_CPU, memory / MOST_RATIO))
    wanted = max(memory, LEAST_MEMORY, steps / CPU_STEPS * LEAST_RATIO)
    size = min(_memory_up(wanted), MOST_MEMORY)
    steps = min(max(steps, _steps_up(size / MOST_RATIO)), int(MOST_CPU * CPU_STEPS))
    return InstanceSize(steps / CPU_STEPS, size)


def _steps_up(cpu: float) -> int:
    return math.ceil(round(cpu * CPU_STEPS, 6))


def _memory_up(memory: float) -> int:
    return math.ceil(round(memory / MEMORY_STEP, 6)) * MEMORY_STEP


def is_allowed(size: InstanceSize) -> bool:
    """Return whether the platform has such a size."""
    steps = size.cpu * CPU_STEPS
    return (
        abs(steps - round(steps)) < 1e-9
        and LEAST_CPU <= size.cpu <= MOST_CPU
        and size.memory % MEMORY_STEP == 0
        and LEAST_MEMORY <= size.memory <= MOST_MEMORY
        and LEAST_RATIO <= size.memory / size.cpu <= MOST_RATIO
    )
