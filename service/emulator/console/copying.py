"""A call as something to paste: a command, a program with the SDK, a test."""

from __future__ import annotations

import re
import shlex
from urllib.parse import quote

from ...console.entry import CallEntry
from ...console.refusal import ConsoleRefusal

SHORT_EVENT = 8 * 1024
"""Bytes of an event that is written in the text: a longer one is read from a file."""

_CURL = """\
curl -sS -X POST '{url}/2023-03-30/functions/{function}/invocations' \\
  -H 'Content-Type: application/octet-stream'{kind} \\
  --data-binary {data}
"""
_SDK = """\
from alibabacloud_fc20230330 import models
from alibabacloud_fc20230330.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

client = Client(
    Config(access_key_id="any", access_key_secret="any", endpoint="{endpoint}", protocol="HTTP")
)
answer = client.invoke_function_with_options(
    "{function}",
    models.InvokeFunctionRequest(body={body}),
    models.InvokeFunctionHeaders(x_fc_invocation_type="{kind}"),
    RuntimeOptions(read_timeout=60_000),
)
print(answer.body.read())
"""
_PYTEST = '''\
{imports}from service.emulator import emulator


def test_{name}() -> None:
    """The function answers this event as it did{when}."""
    with emulator({spec!r}, code={code}) as fc:
        outcome = fc.invoke("{function}", {body})
    assert outcome.error_type == {error!r}
{result}'''


class CallCopier:
    """Writes calls of an emulator that answers at `url` and plays the file `spec`."""

    def __init__(self, url: str, spec: str, code: str | None) -> None:
        self._url = url
        self._spec = spec
        self._code = code
        self._forms = {"curl": self._as_curl, "sdk": self._as_sdk, "pytest": self._as_pytest}

    def copied(self, entry: CallEntry, form: str) -> str:
        """Return a call as `curl`, `sdk` or `pytest`. Raises ConsoleRefusal."""
        if form not in self._forms:
            raise ConsoleRefusal(400, f"'as' is to be one of {', '.join(self._forms)}")
        if entry.event is None:
            raise ConsoleRefusal(410, "the event is not kept any more")
        return self._forms[form](entry, entry.event)

    def _as_curl(self, entry: CallEntry, event: bytes) -> str:
        data, text = f"@{_file(entry)}", _plain(event)
        if text is not None and not text.startswith("@"):
            data = shlex.quote(text)
        kind = "" if entry.kind == "sync" else " -H 'x-fc-invocation-type: Async'"
        copied = _CURL.format(url=self._url, function=quote(entry.function), kind=kind, data=data)
        return f"{_download(entry)}{copied}" if data.startswith("@") else copied

    def _as_sdk(self, entry: CallEntry, event: bytes) -> str:
        copied = _SDK.format(
            endpoint=self._url.removeprefix("http://"),
            function=entry.function,
            body=_literal(entry, event),
            kind="Sync" if entry.kind == "sync" else "Async",
        )
        return copied if len(event) <= SHORT_EVENT else f"from pathlib import Path\n\n{copied}"

    def _as_pytest(self, entry: CallEntry, event: bytes) -> str:
        result = entry.result
        shown = ""
        if result is not None and len(result) <= SHORT_EVENT and entry.status == "ok":
            shown = f"    assert outcome.body == {result!r}\n"
        return _PYTEST.format(
            imports="" if len(event) <= SHORT_EVENT else "from pathlib import Path\n\n",
            name=re.sub(r"\W", "_", f"{entry.function}_{entry.id[-6:]}"),
            when="" if entry.retry == 0 else f", in try {entry.retry + 1}",
            spec=self._spec,
            code=repr(self._code),
            function=entry.function,
            body=_literal(entry, event),
            error=entry.error if entry.code == 200 else "",
            result=shown,
        )


def _plain(event: bytes) -> str | None:
    """Return a short text without control characters, which a shell can take; else None."""
    if len(event) > SHORT_EVENT:
        return None
    try:
        text = event.decode()
    except UnicodeDecodeError:
        return None
    return text if all(each.isprintable() or each in "\n\t" for each in text) else None


def _literal(entry: CallEntry, event: bytes) -> str:
    return repr(event) if len(event) <= SHORT_EVENT else f'Path("{_file(entry)}").read_bytes()'


def _file(entry: CallEntry) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', entry.id)[:80]}.event"


def _download(entry: CallEntry) -> str:
    return f"# The event is the file {_file(entry)}: download it in the console.\n"
