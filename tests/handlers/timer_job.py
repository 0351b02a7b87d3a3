# mypy: ignore-errors
# ruff: noqa: UP031
# The two lines above are the project's; the rest is a user's own style.
# Triggered by a timer each night: rolls the day's orders up.
import json
import logging
import os
import urllib.request

logger = logging.getLogger()
runs = 0


def initialize(context):
    global runs
    runs = 100
    logger.info("initialized by %s", context.function.name or "nobody")


def query(day):
    urllib.request.urlopen("%s/orders?day=%s" % (os.environ["DATABASE"], day)).read()
    return [{"day": day, "amount": amount} for amount in (10, 20, 12)]


def handler(event, context):
    evt = json.loads(event)
    payload = json.loads(evt["payload"])
    logger.info("trigger %s, job %s", evt["triggerName"], payload["job"])
    orders = query(payload["day"])
    total = sum(order["amount"] for order in orders)
    print("total of %s: %d" % (payload["day"], total))
    if not context.credentials.access_key_secret:
        raise Exception("no credentials")
    return json.dumps(
        {"id": context.request_id, "day": payload["day"], "total": total, "runs": runs}
    )
