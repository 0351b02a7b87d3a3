"""The event that a destination gets."""

from __future__ import annotations

import orjson

from ..spec.model import DeployedFunction
from ..texts import _milliseconds, _text, function_arn
from .task import AsyncTask


def destination_event(task: AsyncTask, function: DeployedFunction, result: bytes) -> bytes:
    """Return what a destination is sent about a task that has ended with `result`.

    The shape is that of the platform's page on result callbacks, which shows both payloads as
    strings and says nothing of bytes that are not text: those become U+FFFD. It names only
    `FunctionResourceExhausted` as a `condition`: here it is the error type, or the platform's code.
    """
    return orjson.dumps(
        {
            "timestamp": _milliseconds(task.ended),
            "requestContext": {
                "requestId": task.request_id,
                "functionArn": function_arn(function),
                "condition": task.error,
                "approximateInvokeCount": task.runs,
            },
            "requestPayload": _text(task.event),
            "responseContext": {"statusCode": task.code, "functionError": task.error},
            "responsePayload": _text(result),
        }
    )
