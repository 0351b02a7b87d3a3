"""What of the code is not ready for many calls at once, as `service/advice/` reads it."""

from __future__ import annotations

from collections.abc import Iterator

from ..advice.finding import FINE, WILL_BREAK
from ..advice.reading import findings
from .checked import CheckedFunction
from .finding import CheckFinding


def many_calls_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what goes wrong in the code as soon as calls meet, if an instance has more than one."""
    if function.placed.deployed.concurrency == 1 or not function.code.python:
        return
    named = tuple(f"{module}.{name}" for module, name in function.handlers)
    own = {function.code.shown(file) for file in function.code.python}
    found = False
    for each in findings(function.code.folder, named):
        if each.level == FINE or each.file not in own:
            continue
        found = True
        say = function.doubt if each.level == WILL_BREAK else function.unknown
        yield say("many calls", (), each.what, where=each.place, remedy=each.advice)
    if not found:
        yield function.fits("many calls", (), "nothing that calls would meet in", where="code")
