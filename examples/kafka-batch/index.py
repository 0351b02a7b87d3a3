"""Ships the orders of a Kafka topic, one by one: a bad record does not hold up the others."""

import os

import aiohttp
from msgspec import Struct

from service import Context, Drop, each
from service.events import KafkaEvent

shop: aiohttp.ClientSession


class Order(Struct):
    """What is in a record."""

    order_id: str
    city: str
    is_test: bool = False


async def initialize(context: Context) -> None:
    """Open one session for the records of all calls."""
    global shop
    shop = aiohttp.ClientSession(os.environ["SHOP_URL"])


async def pre_stop(context: Context) -> None:
    """Close it."""
    await shop.close()


async def keep(record: KafkaEvent | bytes, error: BaseException, context: Context) -> None:
    """Put a record that failed where somebody looks at it; then its batch succeeds."""
    kept = {"index": context.record_index, "error": f"{type(error).__name__}: {error}"}
    async with shop.post("/dead-letters", json=kept) as answer:
        answer.raise_for_status()


@each(concurrency=20, key="$.data.key", on_failure=keep)
async def handler(record: KafkaEvent, context: Context) -> Drop | None:
    """Ship one order; those of a customer, who is the record's key, in their order."""
    order = record.json(Order)
    if order.is_test:
        return Drop("a test")
    context.bind(order=order.order_id)
    context.logger.info("shipping to %s", order.city)
    async with shop.post("/shipments", json={"order": order.order_id}) as answer:
        answer.raise_for_status()
    return None
