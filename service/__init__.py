"""Run Python event functions on Alibaba Cloud Function Compute, up to 200 calls at once in one
instance.
"""

import sys

# With a name of its own, so that `python -m service` shows its one line and no traceback.
if sys.version_info < (3, 11):  # noqa: UP036 - this is who is told
    _version = ".".join(map(str, sys.version_info[:2]))
    raise ImportError(f"it needs Python 3.11 or newer, and this is {_version}", name=__name__)
try:
    from .calls.stream import EventStream
    from .context import Context, current_context
    from .errors import InvalidEvent
except ModuleNotFoundError as _missing:
    if (_missing.name or __name__).startswith(__name__):
        raise
    raise ImportError(
        f"{_missing.name} is not installed for this Python: `make run` or `make dev` installs what"
        " is needed into .venv; say .venv/bin/python, or `. .venv/bin/activate` first",
        name=__name__,
    ) from None

__version__ = "0.1.0"
__all__ = ["Context", "EventStream", "InvalidEvent", "__version__", "current_context"]
