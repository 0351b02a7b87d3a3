"""The API Gateway trigger, and the answer that the gateway wants."""

from __future__ import annotations

from typing import ClassVar

from .http import HttpAnswer, WithContent
from .lenient import Lenient


class ApiGatewayEvent(WithContent, Lenient, frozen=True, rename="camel"):
    """What API Gateway sends."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("httpMethod",)

    path: str
    http_method: str
    headers: dict[str, str] = {}
    query_parameters: dict[str, str] = {}
    path_parameters: dict[str, str] = {}
    body: str = ""
    is_base64_encoded: bool = False


class ApiGatewayAnswer(HttpAnswer, frozen=True, rename="camel"):
    """What a handler returns to API Gateway, which makes a 503 of anything else."""
