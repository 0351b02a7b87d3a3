"""Follows the changes of a table of Tablestore: keeps how much each tenant has ordered."""

from collections import defaultdict
from typing import Any

from service import Context, Drop, each
from service.events import TablestoreRecord

orders: dict[tuple[Any, ...], dict[str, Any]] = {}
totals: defaultdict[str, float] = defaultdict(float)


def key_of(record: TablestoreRecord) -> dict[str, Any]:
    """Return what tells one row from another: changes of a row are followed in their order."""
    return record.key()


@each(key=key_of)
async def handler(record: TablestoreRecord, context: Context) -> Drop | None:
    """Follow one change."""
    if "order_id" not in record.key():
        return Drop("a row of another table")
    number = tuple(record.key().values())
    before = orders.get(number, {})
    after = {} if record.type == "DeleteRow" else {**before, **record.row()}
    tenant = str(record.key()["tenant"])
    totals[tenant] += (after.get("amount") or 0) - (before.get("amount") or 0)
    orders[number] = after
    context.logger.info("%s: %s has ordered for %.2f", record.type, tenant, totals[tenant])
    return None
