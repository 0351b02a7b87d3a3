"""A function that returns what it sees of its context: at its begin, after a wait, in another
thread, and at its end.
"""

import asyncio
import json
import os
import random
import threading
import time

from service import current_context

NAMES = [
    "x-fc-request-id",
    "x-fc-access-key-id",
    "x-fc-access-key-secret",
    "x-fc-security-token",
    "x-fc-function-name",
    "x-fc-qualifier",
    "x-fc-version-id",
    "x-fc-region",
    "x-fc-account-id",
    "x-fc-tracing-opentracing-span-context",
]
WAIT = 0.01


def seen(context):
    """Return the fields: of a web framework's request where there is one, else of the call that
    runs here, whoever asks.
    """
    if hasattr(context, "headers"):
        return [context.headers.get(name, "") for name in NAMES]
    call = current_context()
    keys = call.credentials
    return [
        call.request_id,
        *(keys.access_key_id, keys.access_key_secret, keys.security_token),
        *(call.function.name, call.function.qualifier, call.function.version_id),
        *(call.region, call.account_id, call.tracing.span_context),
    ]


def note(context):
    """Write to the ledger, as `ledgered.py` does: what waits for the server looks there."""
    with open("ledger", "a") as ledger:
        ledger.write(f"began {context.request_id} {os.getpid()}\n")


async def handler(event, context):
    """Look on the event loop."""
    if event == b"echo":
        return note(context)
    found = [seen(context)]
    await asyncio.sleep(random.random() * WAIT)
    found.append(seen(context))
    found.append(await asyncio.to_thread(seen, context))
    found.append(seen(context))
    return json.dumps([event.decode(), *found]).encode()


def plain(event, context):
    """Look in a thread."""
    if event == b"echo":
        return note(context)
    found = [seen(context)]
    time.sleep(random.random() * WAIT)
    found.append(seen(context))
    other = threading.Thread(target=lambda: found.append(seen(context)))
    other.start()
    other.join()
    found.append(seen(context))
    return json.dumps([event.decode(), *found]).encode()


def mixed(event, context):
    """Look in either way, by turns."""
    return handler(event, context) if event[-1] % 2 else plain(event, context)
