"""What cannot be in a code package, or cannot be made."""

from __future__ import annotations


class Refused(Exception):
    """The message is one line: what is wrong, and what to do."""
