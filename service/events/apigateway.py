"""The API Gateway trigger, and the answer that the gateway wants."""

from __future__ import annotations

from msgspec import Struct

from .http import HttpAnswer, content


class ApiGatewayEvent(Struct, frozen=True, rename="camel"):
    """What API Gateway sends."""

    path: str
    http_method: str
    headers: dict[str, str] = {}
    query_parameters: dict[str, str] = {}
    path_parameters: dict[str, str] = {}
    body: str = ""
    is_base64_encoded: bool = False

    def content(self) -> bytes:
        """The body's bytes, decoded when the gateway sends base64."""
        return content(self.body, self.is_base64_encoded)


class ApiGatewayAnswer(HttpAnswer, frozen=True, rename="camel"):
    """What a handler returns to API Gateway, which makes a 503 of anything else."""
