"""Books each order once, however often it is sent."""

import asyncio
import os
import secrets

from msgspec import Struct

from service import Context, RedisStore, once

store = RedisStore(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))


class Order(Struct):
    """An order, as the shop sends it."""

    order_id: str
    sku: str
    quantity: int = 1


@once(key="$.order_id", store=store, expires=7 * 24 * 3600, keep_failures=(ValueError,))
async def handler(order: Order, context: Context) -> dict[str, object]:
    """Book an order; return its booking number. An order of nothing is refused, each time."""
    if order.quantity < 1:
        raise ValueError(f"order {order.order_id} has a quantity of {order.quantity}")
    context.logger.info("booking %s", order.order_id)
    await asyncio.sleep(0.2)  # the warehouse's answer
    return {"order_id": order.order_id, "booking": secrets.token_hex(4)}
