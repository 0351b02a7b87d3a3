"""The settings of this process, from all that the sources say, and where each comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..context.call import Platform
from ..errors import UsageError
from .exporters import DISABLED, exporters_of, is_disabled, wish
from .kinds import MIB
from .refusals import question, refused, shown
from .sources import Word, spoken, unclaimed
from .table import ROWS, Settings

UNKNOWN_MEMORY = 512
"""MB that `body_budget` reckons with if the platform does not say: its own default."""


class Loaded(msgspec.Struct, frozen=True):
    """The settings, where each comes from in words, and what the platform says of the instance."""

    settings: Settings
    sources: Mapping[str, str]
    platform: Platform
    unclaimed: tuple[str, ...] = ()
    """Variables of the environment that begin as settings do and are none: the function's own,
    or a mistake that nobody can tell from them.
    """


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Loaded:
    """Return the settings. `flags` may hold the command line's other flags too: they are passed
    over.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for word in spoken(ROWS, flags, environ, cwd):
        value = checked(word)
        if word.name not in values:
            values[word.name], sources[word.name] = value, word.source
    complete(values, sources, environ)
    function_handler = environ.get("FC_FUNCTION_HANDLER", "")
    row = ROWS["handler"]
    overruling = (f"flag {row.flag}", f"environment {row.variable}")
    if function_handler and sources["handler"] not in overruling:
        values["function_handler"] = function_handler
        sources["handler"] += f", after FC_FUNCTION_HANDLER {shown(function_handler)}"
    settings = Settings(**values, exporters=exporters_of(environ))
    agree(settings, sources)
    said = platform(environ, settings.session_header or "")
    return Loaded(settings, sources, said, tuple(unclaimed(ROWS, environ)))


def checked(word: Word) -> Any:
    """Return the value in its final form; UsageError when it is not allowed."""
    kind = ROWS[word.name].kind
    try:
        return kind.read(word.value)
    except ValueError:
        allowed = kind.allowed + question(str(word.value), kind.words)
        raise refused(word.source, word.name, shown(word.value), allowed) from None


def complete(values: dict[str, Any], sources: dict[str, str], environ: Mapping[str, str]) -> None:
    """Fill in what nothing was said of."""
    given = set(values)
    for name, row in ROWS.items():
        values.setdefault(name, row.default)
        sources.setdefault(name, f"default: {row.computed}" if row.computed else "default")
    if "queue" not in given:
        values["queue"] = values["concurrency"]
    if "body_budget" not in given:
        # Never below max_body: a body that is larger than the whole budget would wait for ever.
        values["body_budget"] = max(memory(environ) * MIB // 2, values["max_body"])
    if "otel" not in given and (name := wish(environ)):
        values["otel"], sources["otel"] = True, f"environment {name}"
    if values["otel"] and is_disabled(environ):
        values["otel"], sources["otel"] = False, f"environment {DISABLED}"


def memory(environ: Mapping[str, str]) -> int:
    """Return the function's memory in MB."""
    text = environ.get("FC_FUNCTION_MEMORY_SIZE", "")
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else UNKNOWN_MEMORY


def agree(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse two settings that are allowed by themselves and cannot work together."""
    if settings.body_budget < settings.max_body:
        raise against(settings, sources, "body_budget", "at least", "max_body")
    if settings.timeout is not None and settings.timeout <= settings.deadline_margin:
        raise against(settings, sources, "timeout", "more than", "deadline_margin")


def against(
    settings: Settings, sources: Mapping[str, str], name: str, relation: str, other: str
) -> UsageError:
    """Return the refusal of a setting that does not fit another one."""
    mine, yours = (ROWS[each].kind.write(getattr(settings, each)) for each in (name, other))
    allowed = f"{relation} {other}, which is {yours} ({sources[other]})"
    return refused(sources[name], name, mine, allowed)


CREDENTIAL_VARIABLES = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
)
"""Variables whose values are credentials, in the order of their names in a `Platform`."""


def platform(environ: Mapping[str, str], session_header: str = "") -> Platform:
    """Return what the platform says of the instance (docs/platform.md section 5), and which header
    field brings its sessions.
    """
    key_id, key_secret, token = (environ.get(name, "") for name in CREDENTIAL_VARIABLES)
    return Platform(
        instance_id=environ.get("FC_INSTANCE_ID", ""),
        access_key_id=key_id,
        access_key_secret=key_secret,
        security_token=token,
        function_name=environ.get("FC_FUNCTION_NAME", ""),
        version=environ.get("FC_FUNCTION_VERSION") or environ.get("FC_VER_ID", ""),
        memory=memory(environ) if "FC_FUNCTION_MEMORY_SIZE" in environ else 0,
        region=environ.get("FC_REGION", ""),
        account_id=environ.get("FC_ACCOUNT_ID", ""),
        session_header=session_header,
    )


def show(loaded: Loaded) -> str:
    """One setting a line: name, value, and where it comes from."""
    rows = []
    for name, row in ROWS.items():
        value = getattr(loaded.settings, name)
        # A hook that is not named is looked for in the handler's module: it is not "none".
        written = "-" if value is None and row.computed else row.kind.write(value)
        rows.append((name, written, loaded.sources[name]))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{first}}  {value:{second}}  {source}" for name, value, source in rows)
