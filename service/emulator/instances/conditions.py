"""What holds for all instances: what the command line sets, and what each function has besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..account import Account
from ..log import Log
from ..spec.model import DeployedFunction
from .debugging import Debugging
from .faults import Faults


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line sets, for all functions. Times in seconds.

    `idle_timeout` is how long an on-demand instance is kept without a call (the platform's is 3 to
    5 minutes), `start_timeout` how long a port may take to open, `stop_grace` how long a process
    may live on after SIGTERM. With `enforce_memory` an instance above its `memorySize` is killed.
    With `private_tmp` each instance has a /tmp that nobody else sees, if the system allows it.
    `debug` is the port on which the first instance waits for a debugger, 0 for any: then there are
    no time limits, and nothing is frozen (`debugging.py`).
    """

    max_instances: int = 10
    idle_timeout: float = 180.0
    start_timeout: float = 120.0
    stop_grace: float = 10.0
    enforce_memory: bool = False
    private_tmp: bool = True
    debug: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables that every instance has besides."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for all instances of a function. Times in seconds.

    `cap` is how many there may be, `folder` the one in which each has its own, `mounted` whether
    each has a /tmp of its own.
    """

    function: DeployedFunction
    start_timeout: float
    stop_grace: float
    log: Log
    faults: Faults
    account: Account
    cap: int
    folder: Path
    mounted: bool
    variables: Mapping[str, str] = field(default_factory=dict)
    debugging: Debugging | None = None
