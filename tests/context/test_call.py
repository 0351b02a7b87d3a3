"""What a handler can know about its call."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import sys
import threading
import time
from typing import Any

import pytest
from multidict import CIMultiDict

from service.calls.encode import encode
from service.calls.threads import ThreadPool
from service.context.call import RUNNING, Context, Platform, current_context
from service.errors import UnserializableResult

BAGGAGE = base64.b64encode(b'{"tenant": "a"}').decode()
HEADERS = {
    "X-Fc-Function-Name": "resize",
    "X-Fc-Function-Handler": "index.handler",
    "X-Fc-Function-Memory": "512",
    "X-Fc-Function-Timeout": "60",
    "X-Fc-Version-Id": "7",
    "X-Fc-Qualifier": "prod",
    "X-Fc-Service-Name": "shop",
    "X-Fc-Service-Logproject": "logs",
    "X-Fc-Service-Logstore": "calls",
    "X-Fc-Region": "cn-hangzhou",
    "X-Fc-Account-Id": "1357902468013579",
    "X-Fc-Access-Key-Id": "STS.KEY",
    "X-Fc-Access-Key-Secret": "HUSH",
    "X-Fc-Security-Token": "TOKEN",
    "X-Fc-Retry-Count": "2",
    "X-Fc-Tracing-Opentracing-Span-Context": "span",
    "X-Fc-Tracing-Opentracing-Span-Baggages": BAGGAGE,
    "X-Fc-Tracing-Jaeger-Endpoint": "http://jaeger",
}
FIELDS = {
    "request_id": "r1",
    "function.name": "resize",
    "function.handler": "index.handler",
    "function.memory": 512,
    "function.timeout": 60,
    "function.version_id": "7",
    "function.qualifier": "prod",
    "service.name": "shop",
    "service.log_project": "logs",
    "service.log_store": "calls",
    "service.qualifier": "prod",
    "service.version_id": "7",
    "region": "cn-hangzhou",
    "account_id": "1357902468013579",
    "credentials.access_key_id": "STS.KEY",
    "credentials.access_key_secret": "HUSH",
    "credentials.security_token": "TOKEN",
    "retry_count": 2,
    "tracing.span_context": "span",
    "tracing.span_baggages": {"tenant": "a"},
    "tracing.jaeger_endpoint": "http://jaeger",
    "instance_id": "c-1",
}
NO_PLATFORM = Platform()
NUMBERS = ("function.memory", "function.timeout", "retry_count")


def context(headers: dict[str, str], platform: Platform = NO_PLATFORM, **fields: Any) -> Context:
    """A call's context, its headers as aiohttp holds them."""
    return Context(CIMultiDict(headers), "r1", platform=platform, **fields)


def field(of: Context, path: str) -> Any:
    """The field that a dotted path names."""
    value: Any = of
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_of_the_built_in_runtime_is_there(path: str) -> None:
    """Each field has the built-in runtime's name, and its header's value in the right type."""
    assert field(context(HEADERS, Platform(instance_id="c-1")), path) == FIELDS[path]


@pytest.mark.parametrize("path", [path for path in FIELDS if path != "request_id"])
def test_an_absent_field_is_empty(path: str) -> None:
    """Absent text is "", an absent number None, absent baggage {}."""
    absent: Any = None if path in NUMBERS else {} if path.endswith("baggages") else ""
    assert field(context({}), path) == absent
    assert field(context(dict.fromkeys(HEADERS, "")), path) == absent


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "²", "٣", "9" * 19, " 1"])
def test_a_number_that_is_none_is_absent(text: str) -> None:
    """What is not a plain number counts as not sent."""
    assert context({"x-fc-function-memory": text}).function.memory is None


@pytest.mark.parametrize(
    "baggage",
    [b"{", b"[1]", b"null", b"\xff", b"[" * 200_000],
    ids=["broken", "list", "null", "binary", "deep"],
)
def test_baggage_that_cannot_be_read_is_empty(baggage: bytes) -> None:
    """Broken baggage never fails a call."""
    header = base64.b64encode(baggage).decode()
    name = "x-fc-tracing-opentracing-span-baggages"
    assert context({name: header}).tracing.span_baggages == {}
    assert context({name: "not base64!"}).tracing.span_baggages == {}


def test_the_platforms_fields_cannot_be_changed() -> None:
    """Neither a field of the context nor one beneath it can be set or deleted, in any spelling."""
    call = context(HEADERS)
    with pytest.raises(AttributeError, match=r"Context\.request_id cannot be set"):
        call.request_id = "other"
    with pytest.raises(AttributeError, match=r"Context\.requestId cannot be set"):
        call.requestId = "other"  # type: ignore[misc]  # tested
    with pytest.raises(AttributeError, match=r"Context\.deadline cannot be deleted"):
        del call.deadline
    with pytest.raises(AttributeError, match=r"Credentials\.access_key_id cannot be set"):
        call.credentials.access_key_id = "x"  # type: ignore[misc]  # tested
    with pytest.raises(AttributeError, match=r"Credentials\.mine cannot be set"):
        call.credentials.mine = 1


def test_a_context_takes_attributes_of_the_handlers_own() -> None:
    """A handler may keep values of its own in the context, and delete them again."""
    call = context(HEADERS)
    assert not hasattr(call, "trace")
    call.trace = 1
    assert (call.trace, getattr(call, "trace", 2), hasattr(call, "span")) == (1, 1, False)
    assert not hasattr(context(HEADERS), "trace")
    del call.trace
    with pytest.raises(AttributeError, match="'Context' object has no attribute 'trace'"):
        assert call.trace
    with pytest.raises(AttributeError, match="'Context' object has no attribute 'trace'"):
        del call.trace


SPELLINGS = {
    "requestId": "request_id",
    "accountId": "account_id",
    "retryCount": "retry_count",
    "logProject": "service.log_project",
    "logStore": "service.log_store",
    "log_project": "service.log_project",
    "log_store": "service.log_store",
    "credentials.accessKeyId": "credentials.access_key_id",
    "credentials.accessKeySecret": "credentials.access_key_secret",
    "credentials.securityToken": "credentials.security_token",
    "function.versionId": "function.version_id",
    "service.logProject": "service.log_project",
    "service.logStore": "service.log_store",
    "service.versionId": "service.version_id",
    "tracing.spanContext": "tracing.span_context",
    "tracing.spanBaggages": "tracing.span_baggages",
    "tracing.jaegerEndpoint": "tracing.jaeger_endpoint",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_field_has_both_spellings(spelling: str) -> None:
    """What one of the built-in runtimes calls by another name is there by that name, too."""
    assert field(context(HEADERS), spelling) == FIELDS[SPELLINGS[spelling]]


JSON = {
    "requestId": "r1",
    "credentials": {
        "accessKeyId": "STS.KEY",
        "accessKeySecret": "HUSH",
        "securityToken": "TOKEN",
    },
    "function": {
        "name": "resize",
        "handler": "index.handler",
        "memory": 512,
        "timeout": 60,
        "versionId": "7",
        "qualifier": "prod",
    },
    "service": {
        "name": "shop",
        "logProject": "logs",
        "logStore": "calls",
        "qualifier": "prod",
        "versionId": "7",
    },
    "region": "cn-hangzhou",
    "accountId": "1357902468013579",
    "retryCount": 2,
    "tracing": {
        "spanContext": "span",
        "spanBaggages": {"tenant": "a"},
        "jaegerEndpoint": "http://jaeger",
    },
}


def test_a_context_becomes_json() -> None:
    """`to_json()` has the built-in runtime's keys and whole values, as a result and for json; the
    object itself is refused as a result, since it would tell the call's keys by mistake.
    """
    call = context(HEADERS)
    assert call.to_json() == JSON
    for body in (encode(call.to_json()), json.dumps(call.to_json())):
        assert json.loads(body) == JSON
    assert json.loads(encode(call.credentials.to_json())) == JSON["credentials"]
    for value in (call, {"context": call}, [call.credentials]):
        with pytest.raises(UnserializableResult, match=r"holds the call's keys: return the fields"):
            encode(value)


def test_vars_shows_the_fields_and_the_handlers_own() -> None:
    """`vars(context)` is what it is of the built-in runtime's object; what is added there stays."""
    call = context(HEADERS)
    call.trace = 1
    shown = vars(call)
    assert shown["request_id"] == shown["requestId"] == "r1"
    assert shown["credentials"].access_key_secret == "HUSH"
    assert (shown["region"], shown["trace"]) == ("cn-hangzhou", 1)
    shown["later"] = 2
    assert (call.later, vars(call)["later"]) == (2, 2)
    assert vars(call.function)["memory"] == 512
    assert vars(call.credentials)["accessKeyId"] == "STS.KEY"
    dumped = json.loads(json.dumps(call, default=vars))
    assert dumped["credentials"]["access_key_id"] == "STS.KEY"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_context_is_copied(copied: Any) -> None:
    """A copy is of the same call, and what is set in it is not set in the other."""
    call = context(HEADERS, deadline=7.0)
    assert not hasattr(copied(call), "trace")
    call.trace = [1]
    twin = copied(call)
    assert (twin.request_id, twin.deadline, twin.trace) == ("r1", 7.0, [1])
    assert twin.credentials.access_key_id == "STS.KEY"
    assert (twin.trace is call.trace) == (copied is copy.copy)
    twin.other = 1
    assert not hasattr(call, "other")
    assert copied(call.credentials).access_key_id == "STS.KEY"


@pytest.mark.parametrize("show", [repr, str, "{}".format])
def test_what_a_context_shows_has_no_secret(show: Any) -> None:
    """No credential is in any text form of the context or of a part of it."""
    call = context(HEADERS, Platform("c-1", "ENVKEY", "ENVHUSH", "ENVTOKEN"))
    parts = (call, call.function, call.service, call.credentials, call.tracing, call._platform)
    text = "".join(show(part) for part in parts)
    for secret in ("STS.KEY", "HUSH", "TOKEN", "ENVKEY"):
        assert secret not in text
    text += show(call.to_json()) + show(vars(call)) + show(vars(call.credentials))
    for secret in ("STS.KEY", "HUSH", "TOKEN", "ENVKEY"):
        assert secret not in text
    assert show(call) == "Context(request_id='r1', function='resize')"
    assert show(call.credentials) == "Credentials(***)"
    assert "memory=512" in show(call.function)


def test_all_header_fields_are_readable() -> None:
    """`context.headers` has each field of the request by its name in any case, and cannot be
    changed; `context.traceparent` is the caller's trace.
    """
    sent = CIMultiDict({"Traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "X-Tenant": "7"})
    sent.add("x-tenant", "8")
    call = Context(sent, "r1")
    assert call.traceparent == sent["traceparent"] == call.headers["TRACEPARENT"]
    assert dict(call.headers) == {"traceparent": call.traceparent, "x-tenant": "7"}
    assert len(call.headers) == 2
    assert "X-tenant" in call.headers
    assert call.headers.get("x-other") is None
    assert call.headers.getall("x-TENANT") == ["7", "8"]
    assert call.headers.getall("x-other") == []
    assert context({"a": "1"}).headers.getall("a") == ["1"]
    with pytest.raises(TypeError):
        call.headers["x-tenant"] = "9"  # type: ignore[index] # that it cannot is what is tried
    assert context({}).traceparent == ""


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Proxy-Authorization", "Cookie", "x-api-key", "X-Auth-Token"),
        *("x-fc-access-key-id", "x-fc-access-key-secret", "x-fc-security-token", "x-db-password"),
        *("x-oss-signature", "X-Session", "x-fc-tracing-opentracing-span-baggages"),
    ],
)
def test_the_credentials_among_the_header_fields_are_not_shown(name: str) -> None:
    """Their values are whole, and no text form of the fields has them."""
    fields = context({"Host": "here", name: "HUSH"}).headers
    assert fields[name] == "HUSH"
    assert repr(fields) == str(fields) == f"RequestHeaders(host='here', {name.lower()}=***)"


def test_a_context_does_not_leave_the_process() -> None:
    """Context and credentials refuse to be pickled, and say why."""
    for value in (context(HEADERS), context(HEADERS).credentials, context(HEADERS).headers):
        with pytest.raises(TypeError, match="not pickled: it may hold credentials"):
            pickle.dumps(value)


def test_a_context_is_small() -> None:
    """A call that waits holds five references for its context, and no dict."""
    call = context(HEADERS)
    assert sys.getsizeof(call) <= 96
    assert call._own is None


def test_credentials_come_from_the_environment_where_no_header_brings_them() -> None:
    """On images whose platform sends none, the ALIBABA_CLOUD_* variables serve."""
    found = context({}, Platform("", "EK", "ES", "ET")).credentials
    assert (found.access_key_id, found.access_key_secret, found.security_token) == (
        "EK",
        "ES",
        "ET",
    )


def test_credentials_are_never_mixed() -> None:
    """A key from a header never goes with a secret or a token from the environment."""
    found = context({"x-fc-access-key-id": "HK"}, Platform("", "EK", "ES", "ET")).credentials
    assert (found.access_key_id, found.access_key_secret, found.security_token) == ("HK", "", "")


def test_the_logger_has_both_spellings() -> None:
    """`logger` and the older `getLogger()` are the same logger."""
    call = context({})
    assert call.logger is call.getLogger()
    assert call.logger.name == "fc"


def test_remaining_counts_down_to_zero() -> None:
    """`remaining()` is what is left until the deadline, never below 0, None without one."""
    assert context({}).remaining() is None
    left = context({}, deadline=time.monotonic() + 60).remaining()
    assert left is not None
    assert 50 < left <= 60
    assert context({}, deadline=time.monotonic() - 1).remaining() == 0.0


def test_there_is_no_current_context_outside_of_a_call() -> None:
    """Outside of a call `current_context()` is a LookupError that says where it works."""
    with pytest.raises(LookupError, match="inside a handler or a hook"):
        current_context()


async def test_a_thread_of_the_pool_knows_its_call() -> None:
    """`current_context()` is the call's own in the thread that runs it, and not in others."""
    pool = ThreadPool(1)
    call = context({})
    RUNNING.set(call)
    assert (await pool.run(current_context)).result is call
    outside: list[str] = []
    thread = threading.Thread(target=lambda: outside.append(repr(RUNNING.get(None))))
    thread.start()
    thread.join()
    assert outside == ["None"]
    pool.close()


SESSIONS: dict[str, tuple[dict[str, str], str, str]] = {
    "a-header-field": ({"x-session": "a-1", "mcp-session-id": "m"}, "X-Session", "a-1"),
    "not-sent": ({"mcp-session-id": "m"}, "X-Session", ""),
    "mcp": ({"mcp-session-id": "m-1", "cookie": "x-fc-cookie-session-id=c"}, "", "m-1"),
    "a-cookie": ({"cookie": "a=b; x-fc-cookie-session-id=c-1; c=d"}, "", "c-1"),
    "a-quoted-cookie": ({"cookie": 'x-fc-cookie-session-id="c-1"'}, "", "c-1"),
    "other-cookies": ({"cookie": "a=b; =; x-fc-cookie-session-idx=1;"}, "", ""),
    "none": ({}, "", ""),
}


@pytest.mark.parametrize(("headers", "field", "session"), SESSIONS.values(), ids=SESSIONS)
def test_a_call_knows_its_session(headers: dict[str, str], field: str, session: str) -> None:
    """It is what session affinity brought: a header field, MCP's, or the platform's cookie."""
    found = Context(headers, "id", platform=Platform(session_header=field))
    assert found.session_id == session
    with pytest.raises(AttributeError):
        found.session_id = "x"  # type: ignore[misc] # it is what is tried
