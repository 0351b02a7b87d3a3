"""Credentials: whether the function is given those that it uses (docs/platform.md section 2)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..emulator.instances.contract import NO_TOKEN
from .checked import CheckedFunction
from .finding import CheckFinding

INJECTED = "disableInjectCredentials"
USES = {"credentials", "client"}
"""Attributes of a context that need the role's credentials."""


def access_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with the credentials of a function that uses them."""
    used = first_use(function)
    if used is None:
        return
    removed = str(function.props.get(INJECTED, "None"))
    if not function.props.get("role"):
        yield function.doubt(
            "credentials",
            ("role",),
            "context.credentials is used, and without a role the platform sends none",
            where=used,
            remedy="set role to one that may do what the function does",
            source="2",
        )
    elif removed in ("All", "Request") and function.runtime != NO_TOKEN:
        yield function.doubt(
            "credentials",
            (INJECTED,),
            f"{INJECTED} is {removed}: no call brings credentials",
            remedy="set it to None or Env",
            source="2",
        )
    elif function.runtime == NO_TOKEN:
        yield function.doubt(
            "credentials",
            ("runtime",),
            f"{NO_TOKEN} sends no security token with a call: context.credentials are those of the"
            " instance's variables, which end after 36 h",
            remedy="keep no credentials beyond a call, or take custom.debian12",
            source="2",
        )
    else:
        yield function.fits("credentials", ("role",), "each call brings the role's", source="2")


def first_use(function: CheckedFunction) -> str | None:
    """Return where the code uses a context's credentials first: `FILE:LINE`."""
    for file in function.code.python:
        tree = function.code.tree(file)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Attribute) and node.attr in USES:
                value = node.value
                if isinstance(value, ast.Name) and value.id in ("context", "ctx"):
                    return f"{function.code.shown(file)}:{node.lineno}"
    return None
