"""Events that the page sends to a function of the emulator."""

from __future__ import annotations

from ...console.batches import SentBatch
from ...console.refusal import ConsoleRefusal
from ..api.requests import SYNC_LIMIT
from ..calls import PlatformError
from ..local import FunctionCompute
from ..queue.dispatcher import EVENT_LIMIT


def check_batch(batch: SentBatch, played: FunctionCompute) -> SentBatch:
    """Return a batch that can be sent. Raises ConsoleRefusal."""
    if not played.url:
        raise ConsoleRefusal(409, "the emulator is still being started")
    if batch.function not in played.spec.functions:
        raise ConsoleRefusal(404, f"there is no function {batch.function[:100]!r}")
    limit = EVENT_LIMIT if batch.asynchronous else SYNC_LIMIT
    if len(batch.event) > limit:
        kind = "an asynchronous" if batch.asynchronous else "a synchronous"
        told = f"the event has {len(batch.event):,} bytes: {kind} call's has {limit:,} at most"
        raise ConsoleRefusal(413, told)
    return batch


async def send_one(played: FunctionCompute, batch: SentBatch, request_id: str) -> None:
    """Send one event of a batch, as a caller beside the emulator does. What the platform refuses is
    shown by the list of calls.
    """
    try:
        if batch.asynchronous:
            await played.submit(batch.function, batch.event, request_id=request_id)
        else:
            await played.invoke(batch.function, batch.event, request_id=request_id)
    except PlatformError:
        pass
    except KeyError:  # the file has no such function any more
        pass
