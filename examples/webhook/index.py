"""Books what a payment provider reports by a webhook behind API Gateway."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import aiohttp
from msgspec import Struct

from service import AroundCall, Context, spawn
from service.events import ApiGatewayAnswer, ApiGatewayEvent

SECRET = os.environ["WEBHOOK_SECRET"].encode()


class Payment(Struct):
    """What the provider reports."""

    order: str
    cents: int


@dataclass
class State:
    """What all calls share."""

    books: aiohttp.ClientSession
    receipts: asyncio.Queue[Payment]


async def lifespan(context: Context) -> AsyncIterator[State]:
    """Open one session for all calls, and start what sends receipts behind their answers."""
    async with aiohttp.ClientSession(os.environ["BOOKS_URL"]) as books:
        state = State(books, asyncio.Queue(1000))
        send = partial(send_receipts, state)
        spawn(send, name="receipts", restart=True, before_freeze=state.receipts.join)
        yield state


async def send_receipts(state: State) -> None:
    """Send receipts one by one: the provider does not wait for them."""
    while True:
        payment = await state.receipts.get()
        try:
            async with state.books.post("/receipts", json={"order": payment.order}) as answer:
                answer.raise_for_status()
        finally:
            state.receipts.task_done()


async def pre_stop(context: Context) -> None:
    """Let all receipts leave: behind this, what was spawned ends, and the lifespan closes."""
    await context.state.receipts.join()


async def around(call: AroundCall) -> AsyncIterator[None]:
    """Write an audit line for each call, whatever becomes of it."""
    yield
    call.context.logger.info(
        "audit: %s %s, queued %.3f s", call.outcome, call.error_type, call.queue_seconds
    )


async def handler(event: ApiGatewayEvent, context: Context) -> ApiGatewayAnswer:
    """Book a payment whose signature is the provider's."""
    signed = hmac.new(SECRET, event.content(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signed, event.headers.get("X-Signature", "")):
        return ApiGatewayAnswer("no such signature", 401)
    payment = event.json(Payment)
    booking = {"order": payment.order, "cents": payment.cents}
    async with context.state.books.post("/bookings", json=booking) as answer:
        answer.raise_for_status()
    context.state.receipts.put_nowait(payment)
    return ApiGatewayAnswer("booked")
