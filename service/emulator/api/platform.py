"""What the API answers from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from ..calls import InstanceView, Invoker
from ..queue.dispatcher import Dispatcher
from ..spec.model import DeployedFunction
from .access import Hosts
from .signature import Verifier


def _no_instances(_function: str) -> Sequence[InstanceView]:
    return ()


@dataclass(frozen=True, slots=True)
class EmulatedPlatform:
    """The functions, who runs them, and who may ask; `started` is in Unix seconds.

    `instances` returns those of a function that are there now.
    """

    functions: Mapping[str, DeployedFunction]
    invokers: Mapping[str, Invoker]
    tasks: Dispatcher
    instances: Callable[[str], Sequence[InstanceView]] = _no_instances
    verifier: Verifier | None = None
    hosts: Hosts = field(default_factory=Hosts)
    started: float = 0.0


PLATFORM = web.AppKey("platform", EmulatedPlatform)
ID = web.RequestKey("id", str)
SIGNED_HASH = web.RequestKey("content_hash", str)
"""What a signed request says of its body."""
