"""The model behind our service: a call at a time, batched by hand, and by `@batched`."""

from __future__ import annotations

import asyncio
from typing import Any

from batched_model import predict

from service import Context, batched

SIZE, WAIT = 32, 0.005


def single(row: list[float], context: Context) -> bool:
    """Ask the model for one row, in a thread of its own."""
    return predict([row])[0]


@batched(max_size=SIZE, max_wait=WAIT)
def ours(rows: list[list[float]]) -> list[bool]:
    """Ask the model for many."""
    return predict(rows)


waiting: asyncio.Queue[tuple[list[float], asyncio.Future[bool]]] = asyncio.Queue()
started: list[asyncio.Task[None]] = []


async def by_hand(row: list[float], context: Context) -> bool:
    """Do as most do who write it themselves: a queue, and a task that empties it."""
    if not started:
        started.append(asyncio.create_task(_work()))
    answer = asyncio.get_running_loop().create_future()
    waiting.put_nowait((row, answer))
    return await answer


async def _work() -> None:
    while True:
        batch = [await waiting.get()]
        until = asyncio.get_running_loop().time() + WAIT
        while len(batch) < SIZE:
            try:
                left = until - asyncio.get_running_loop().time()
                batch.append(await asyncio.wait_for(waiting.get(), left))
            except TimeoutError:
                break
        rows: list[Any] = [row for row, _ in batch]
        for (_, answer), result in zip(batch, await asyncio.to_thread(predict, rows), strict=True):
            answer.set_result(result)
