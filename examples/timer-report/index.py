"""Counts what is uploaded to a bucket, and reports it whenever a timer asks."""

from collections import Counter
from threading import Lock

from msgspec import Struct

from service import Context, Router
from service.events import OssEvent, TimerEvent


class Wanted(Struct):
    """What the timer's payload asks for."""

    top: int = 3


on = Router()
uploads: Counter[str] = Counter()
lock = Lock()  # calls are counted on the event loop, and reported in threads


@on(OssEvent)
async def count(event: OssEvent, context: Context) -> int:
    """Note the folder of each object that came; return how many did."""
    folders = [record.oss.object.decoded_key.rpartition("/")[0] for record in event.events]
    with lock:
        uploads.update(folders)
    return len(folders)


@on(TimerEvent)
def report(event: TimerEvent, context: Context) -> dict[str, object]:
    """Return the busiest folders since the last report."""
    top = event.json(Wanted).top if event.payload else Wanted().top
    with lock:
        found, total = uploads.most_common(top), uploads.total()
        uploads.clear()
    context.logger.info("%d uploads until %s", total, event.trigger_time)
    return {"until": event.trigger_time, "uploads": total, "folders": dict(found)}


@on.default
def other(event: bytes, context: Context) -> str:
    """Say what came that is neither."""
    context.logger.warning("an event of %d bytes that nobody waits for", len(event))
    return "ignored"


handler = on
