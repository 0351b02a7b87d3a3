"""One thing that a check has to say."""

from __future__ import annotations

from dataclasses import dataclass

FAULT, DOUBT, UNKNOWN, FITS = "fault", "warning", "unknown", "ok"
FINDING_LEVELS = (FAULT, DOUBT, UNKNOWN, FITS)
"""From the worst: it would not be deployed or not serve; it would, and hardly as it is meant; it
cannot be told here; it fits.
"""


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """What was found by a rule, and what to do about it."""

    level: str
    rule: str
    text: str
    key: str = ""
    """The place in the file, `customRuntimeConfig.port` for example."""
    where: str = ""
    """`FILE:LINE`, "" for what stands in no file."""
    remedy: str = ""
    source: str = ""
    """What the rule stands on: a section of docs/platform.md."""


def platform_section(number: str) -> str:
    """Return the source of a rule of the platform's."""
    return f"docs/platform.md section {number}"
