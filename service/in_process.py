"""A call without a request: made in this process, as the service makes one."""

from __future__ import annotations

import time
from functools import partial

from . import protocol
from .app import run_call
from .calls.admission import Budget
from .calls.stream import Chunks, EventStream
from .context.call import RUNNING, Context, record_of
from .errors import ServiceError
from .http.middleware import report
from .instance.assembly import Service


async def call_in_process(service: Service, context: Context, event: bytes) -> bytes:
    """Return the answer to one event, by its deadline, with the platform's lines around what the
    call logs; who watches calls is told. Raises ServiceError, which the log has by then.
    """
    RUNNING.set(context)
    record, failed = record_of(context), True
    service.logs.marker(protocol.start_line(protocol.INVOKE, context.request_id))
    service.observers.begin(context, record)
    try:
        answer = await _answer(service, context, event)
        failed = False
        return answer
    except ServiceError as error:
        record.error_type, record.look_after = error.code, 0.0
        report(error)
        raise
    finally:
        service.logs.end(context.request_id)
        record.ended = time.monotonic()
        service.observers.end(context, record)
        service.logs.marker(protocol.end_line(protocol.INVOKE, context.request_id, failed=failed))


async def _answer(service: Service, context: Context, event: bytes) -> bytes:
    limit = service.settings.max_body
    stream = EventStream(Chunks(event), size=len(event), limit=limit, budget=Budget(limit))
    begin = partial(run_call, service, context, stream)
    return await (begin() if service.around is None else service.around(context, begin))
