"""`parameter` and `secret`: what is kept in OOS's parameter store and in KMS, read once for all
calls.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..clients.credentials import owner_of, region_of
from ..context.call import Context, caller_of, current_context
from ..context.derived import work_context
from ..errors import ClientUnavailable, ParameterUnavailable
from .refusals import refusal_of
from .sharing import SharedFunction, shared

TTL, STALE = 300.0, 3600.0
"""Seconds that a value is kept, and serves beyond that while it cannot be read."""

TIMEOUT = 20.0


class ParameterSource(NamedTuple):
    """Where values are kept, and how the SDK is asked for one: `client.method(Request(...))`."""

    what: str
    product: str
    package: str
    method: str
    request: str
    name_field: str
    fields: Mapping[str, Any]
    permissions: str
    value_of: Callable[[Any], str | None]

    def ask(self, client: Any, name: str) -> str | None:
        """Return the value; None if the answer has none."""
        models = importlib.import_module(f"{self.package}.models")
        request = getattr(models, self.request)(**{self.name_field: name}, **self.fields)
        return self.value_of(getattr(client, self.method)(request).body)


OOS, KMS = "alibabacloud_oos20190601", "alibabacloud_kms20160120"


class Parameter:
    """A value that is read when it is first asked for, and kept for all calls: `await` it, or call
    `result` in a plain handler. `parameter` and `secret` make one.

    The value is never part of `repr`, of a line of the service's, or of an error.
    """

    def __init__(
        self,
        name: str,
        source: ParameterSource,
        client: Mapping[str, Any],
        ttl: float,
        stale: float,
    ) -> None:
        if not name or not isinstance(name, str):
            raise ValueError(f"{source.what}() takes the name that it has in {source.product}")
        self.name = name
        self._source = source
        self._client = client
        self._first: Context | None = None  # of what has asked first, without what is its own
        shown = f"{source.what}({name!r})"
        self._read: SharedFunction[[], str] = shared(
            self._read_now, ttl=ttl, stale=stale, timeout=TIMEOUT, name=shown, key=self._owner
        )

    async def __call__(self) -> str:
        """Return the value. Raises ParameterUnavailable, which says what is missing."""
        return await self._read()

    def result(self) -> str:
        """Return the value to a plain handler. Raises ParameterUnavailable."""
        return self._read.result()

    def invalidate(self) -> None:
        """Read it anew for the next call: it was just changed, or is not accepted any more."""
        self._read.invalidate()

    def __repr__(self) -> str:
        return f"{self._source.what}({self.name!r})"

    def _owner(self) -> object:
        """Return whose parameter it is: two functions in one process may be of two accounts."""
        return owner_of(caller_of(self._context()))

    def _context(self) -> Context:
        """Return the context of the call or hook that asks; in a task of the instance, that of the
        first one that has: its client has the newest one's credentials.
        """
        try:
            context = current_context()
        except LookupError:
            if self._first is None:
                raise ParameterUnavailable(
                    f"{self!r} is read with the credentials of a call, and none runs here: read it"
                    " in a handler or in initialize(context) first"
                ) from None
            return self._first
        if self._first is None:
            self._first = work_context(context, repr(self))
        return context

    def _read_now(self) -> str:
        """Read it, in a thread."""
        context = self._context()
        source, product = self._source, self._source.product
        try:
            client = context.client(product, **self._client)
        except ClientUnavailable as reason:
            raise ParameterUnavailable(f"{self!r} cannot be read: {reason}") from None
        try:
            value = source.ask(client, self.name)
        except Exception as reason:
            region = self._client.get("region") or region_of(caller_of(context))
            why = refusal_of(reason, source.permissions, region, repr(self))
            raise ParameterUnavailable(f"{self!r} cannot be read: {why}") from None
        if value is None:
            raise ParameterUnavailable(f"{self!r} cannot be read: the answer has no value in it")
        return value


def parameter(
    name: str,
    *,
    encrypted: bool = False,
    ttl: float = TTL,
    stale: float = STALE,
    region: str = "",
    endpoint: str = "",
) -> Parameter:
    """Return a reader of a parameter of OOS's parameter store: `await url()` in a handler.

    `encrypted` says that it is an encrypted parameter. It is kept `ttl` seconds, and serves `stale`
    seconds more while it cannot be read. `region` is by default that of the function, `endpoint`
    the product's in that region. It needs the package's extra `parameters`.
    """
    source = _of_oos("get_parameter", "GetParameter", "oos:GetParameter", {})
    if encrypted:
        may = "oos:GetSecretParameter and kms:GetSecretValue"
        fields = {"with_decryption": True}
        source = _of_oos("get_secret_parameter", "GetSecretParameter", may, fields)
    return Parameter(name, source, _client_options(region, endpoint), ttl, stale)


def secret(
    name: str,
    *,
    version: str = "",
    stage: str = "",
    ttl: float = TTL,
    stale: float = STALE,
    region: str = "",
    endpoint: str = "",
) -> Parameter:
    """Return a reader of a secret of KMS: `await password()` in a handler.

    It is the current version, or the one of the id `version` or of the stage label `stage`; a
    binary secret is the base64 text of it. The other options are those of `parameter`.
    """
    fields = {"version_id": version, "version_stage": stage}
    source = ParameterSource(
        "secret",
        "kms",
        KMS,
        "get_secret_value",
        "GetSecretValueRequest",
        "secret_name",
        {field: value for field, value in fields.items() if value},
        "kms:GetSecretValue, and kms:Decrypt for its key",
        lambda body: body.secret_data,
    )
    return Parameter(name, source, _client_options(region, endpoint), ttl, stale)


def _of_oos(
    method: str, action: str, permissions: str, fields: Mapping[str, Any]
) -> ParameterSource:
    def value_of(body: Any) -> str | None:
        return body.parameter.value if body.parameter else None

    request = f"{action}Request"
    return ParameterSource(
        "parameter", "oos", OOS, method, request, "name", fields, permissions, value_of
    )


def _client_options(region: str, endpoint: str) -> dict[str, str]:
    options = {"region": region, "endpoint": endpoint}
    return {option: value for option, value in options.items() if value}
