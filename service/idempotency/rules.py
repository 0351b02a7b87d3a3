"""What `once` was asked for, and how its store is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, TypeVar

from ..errors import OnceStoreFailed, text_of
from .stores import OnceStore

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class OnceRules:
    """What `once` was asked for."""

    name: str
    store: OnceStore
    expires: float
    lease: float
    keep_failures: tuple[type[Exception], ...]
    on_store_error: Literal["fail", "run"]
    max_result: int
    store_timeout: float

    async def ask(self, work: Awaitable[Asked]) -> Asked:
        """Return what the store answers. Raises OnceStoreFailed, and nothing else."""
        try:
            async with asyncio.timeout(self.store_timeout):
                return await work
        except OnceStoreFailed:
            raise
        except TimeoutError:
            said = f"has not answered within {self.store_timeout:g} seconds"
            raise OnceStoreFailed(f"{self.store!r} {said}") from None
        except Exception as reason:
            said = f"{type(reason).__name__}: {text_of(reason)[:300]}"
            raise OnceStoreFailed(f"{self.store!r} cannot be used: {said}") from reason
