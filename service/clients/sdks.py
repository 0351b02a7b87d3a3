"""The platform's own clients, by name: made of their SDKs, which are imported here."""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import Any

from ..errors import ClientUnavailable
from .credentials import CallCredentials

CONNECTIONS = 200
"""Connections that a client keeps: as many as calls can run at once. SDKs keep 10 or 20, and close
the others after each request.
"""

Factory = Callable[[CallCredentials, Mapping[str, Any]], Any]


def made_by_name(
    name: str, credentials: CallCredentials, region: str, options: Mapping[str, Any]
) -> Any:
    """Return a new client. Raises ClientUnavailable for what is missing, TypeError for an option
    that it has not.
    """
    if not credentials.get_credentials().has_keys():
        raise ClientUnavailable(
            f"the client {name!r} needs credentials, and this call brings none: give the function a"
            " role (`role:` in s.yaml); on your desk, set the variables ALIBABA_CLOUD_ACCESS_KEY_*"
        )
    given = {"region": region, **options}
    if not given["region"]:
        raise ClientUnavailable(
            f"the client {name!r} needs a region, and neither the call nor FC_REGION says one: set"
            f' FC_REGION, or write context.client({name!r}, region="cn-hangzhou")'
        )
    return FACTORIES[name](credentials, given)


def _oss(credentials: CallCredentials, options: Mapping[str, Any]) -> Any:
    sdk = _imported("alibabacloud_oss_v2", "clients")
    transport = _imported("alibabacloud_oss_v2.transport", "clients")
    config = _oss_config(sdk, credentials, options, transport.RequestsHttpClient)
    config.http_client.open()  # once: two threads that come first would each open it
    return sdk.Client(config)


def _oss_async(credentials: CallCredentials, options: Mapping[str, Any]) -> Any:
    sdk = _imported("alibabacloud_oss_v2", "clients")
    aio = _imported("alibabacloud_oss_v2.aio", "clients")
    transport = _imported("alibabacloud_oss_v2.aio.transport", "clients")
    return aio.AsyncClient(_oss_config(sdk, credentials, options, transport.AioHttpClient))


def _oss_config(
    sdk: Any, credentials: CallCredentials, options: Mapping[str, Any], transport: Any
) -> Any:
    config = sdk.config.load_default()
    config.credentials_provider = credentials
    _set_options("oss", config, options)
    if config.http_client is None:
        names = ("connect_timeout", "readwrite_timeout", "insecure_skip_verify")
        given = {name: getattr(config, name) for name in (*names, "enabled_redirect", "proxy_host")}
        given = {name: value for name, value in given.items() if value is not None}
        config.http_client = transport(max_connections=CONNECTIONS, **given)
    return config


def _openapi(product: str, package: str, extra: str) -> Factory:
    """Return what makes a client of one of the generated OpenAPI SDKs."""

    def make(credentials: CallCredentials, options: Mapping[str, Any]) -> Any:
        client = _imported(f"{package}.client", extra)
        models = _imported("alibabacloud_tea_openapi.models", extra)
        config = models.Config(credential=credentials)
        config.max_idle_conns = CONNECTIONS
        given = {**options, "region_id": options["region"]}
        del given["region"]
        endpoint = str(given.get("endpoint") or "")
        if "://" in endpoint:
            given["protocol"], _, given["endpoint"] = endpoint.partition("://")
        elif not endpoint and product == "sls":
            given["endpoint"] = f"{given['region_id']}.log.aliyuncs.com"
        _set_options(product, config, given)
        return client.Client(config)

    return make


def _set_options(name: str, config: Any, options: Mapping[str, Any]) -> None:
    for option, value in options.items():
        if option not in vars(config):
            known = ", ".join(sorted(vars(config).keys() - {"credential", "credentials_provider"}))
            raise TypeError(f"the client {name!r} has no option {option}; there are {known}")
        setattr(config, option, value)


def _imported(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        package = module.partition(".")[0]
        if (missing.name or "").partition(".")[0] != package:
            raise
        wanted = f"fc-event-service[{extra}]" if extra else package.replace("_", "-")
        raise ClientUnavailable(
            f"{package} is not installed: add {wanted} to the function's requirements.txt"
        ) from None


class NeedsLoop:
    """A factory whose clients belong to the event loop that they are made on, and close with it."""

    def __init__(self, make: Factory) -> None:
        self._make = make

    def __call__(self, credentials: CallCredentials, options: Mapping[str, Any]) -> Any:
        client = self._make(credentials, options)
        client.closes_with_loop = _closing(client)
        with suppress(StopIteration):
            client.closes_with_loop.asend(None).send(None)  # it is at its `yield` now
        return client


async def _closing(client: Any) -> AsyncGenerator[None, None]:
    """Close a client at the end of its loop: the last thing that a loop does is to end the
    asynchronous generators that have begun on it.
    """
    try:
        yield
    finally:
        await client.close()


FACTORIES: dict[str, Factory] = {
    "kms": _openapi("kms", "alibabacloud_kms20160120", "parameters"),
    "oos": _openapi("oos", "alibabacloud_oos20190601", "parameters"),
    "oss": _oss,
    "oss.async": NeedsLoop(_oss_async),
    "sls": _openapi("sls", "alibabacloud_sls20201230", ""),
}
