"""What `s.yaml` comes to: functions with their triggers and configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .sessions import SessionAffinity


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """`healthCheckConfig`; times in seconds (docs/platform.md section 1.4)."""

    path: str
    initial_delay: float = 0.0
    period: float = 3.0
    timeout: float = 1.0
    failures: int = 3
    successes: int = 1


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a finished asynchronous call is sent: a function of the same file."""

    function: str


@dataclass(frozen=True, slots=True)
class AsyncConfig:
    """`asyncInvokeConfig`; the age in seconds (docs/platform.md section 8)."""

    retries: int = 3
    max_age: float = 86_400.0
    task: bool = False
    on_success: Destination | None = None
    on_failure: Destination | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """A trigger of type `timer`; `cron` as it is written in the file."""

    name: str
    cron: str
    payload: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """One function of the file, with the platform's defaults filled in; times in seconds."""

    name: str
    region: str
    runtime: str
    code: Path
    command: Sequence[str]
    port: int = 9000
    handler: str = "handler"
    description: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 1
    timeout: float = 3.0
    memory: int = 512
    initializer_timeout: float | None = None
    """None: no initializer is configured, so `/initialize` is never called."""
    pre_stop_timeout: float | None = None
    """None: `/pre-stop` is never called."""
    initializer: str = ""
    """The name in `initializer.handler`, "" for none: the platform runs no hook without a name."""
    pre_stop: str = ""
    """The name in `preStop.handler`, "" for none."""
    health: HealthCheck | None = None
    asynchronous: AsyncConfig = field(default_factory=AsyncConfig)
    provisioned: int = 0
    """Instances that are there from the start and never stopped for being idle."""
    provisioned_freeze: bool = False
    """True if the file says `alwaysAllocateCPU: false`: provisioned instances are frozen too."""
    max_instances: int | None = None
    """From `concurrencyConfig.reservedConcurrency`; None: the emulator's own cap."""
    timers: Sequence[Timer] = ()
    sessions: SessionAffinity | None = None
    """None: calls go to any instance."""
    props: Mapping[str, Any] = field(default_factory=dict)
    """The `props` of the file, without keys that have nothing and with references replaced."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All functions of a file, and what of the file is not played, one sentence each."""

    functions: Mapping[str, DeployedFunction]
    warnings: Sequence[str] = ()
