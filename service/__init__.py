"""Run Python event functions on Alibaba Cloud Function Compute, up to 200 calls at once in one
instance.
"""

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import metrics as metrics
    from .batching.decorator import batched as batched
    from .embed import create_app as create_app
    from .idempotency.decorator import once as once
    from .idempotency.redis_store import RedisStore as RedisStore
    from .idempotency.stores import Claimed as Claimed
    from .idempotency.stores import MemoryStore as MemoryStore
    from .idempotency.stores import OnceStore as OnceStore
    from .idempotency.tablestore_store import TablestoreStore as TablestoreStore
    from .lifetime.around import AroundCall as AroundCall
    from .lifetime.spawned import SpawnedTask as SpawnedTask
    from .lifetime.spawned import spawn as spawn
    from .records.decorator import each as each
    from .records.outcomes import Drop as Drop
    from .records.outcomes import Retry as Retry
    from .resources.parameters import parameter as parameter
    from .resources.parameters import secret as secret
    from .resources.sharing import shared as shared
    from .routing import Router as Router

# An error of ours says which name was asked for: then `python -m` shows its line, and no traceback.
_asked = "service" if "service" in sys.modules else __name__
if sys.version_info < (3, 11):  # noqa: UP036 - this is who is told
    _version = ".".join(map(str, sys.version_info[:2]))
    raise ImportError(f"it needs Python 3.11 or newer, and this is {_version}", name=_asked)

if __name__ != "fc_event_service":  # imported by its folder's name: names.py says why
    if "fc_event_service" not in sys.modules:
        _spec = importlib.util.spec_from_file_location("fc_event_service", __file__)
        assert _spec is not None
        assert _spec.loader is not None
        sys.modules["fc_event_service"] = importlib.util.module_from_spec(_spec)
        try:
            _spec.loader.exec_module(sys.modules["fc_event_service"])
        except BaseException:
            del sys.modules["fc_event_service"]
            raise
    sys.modules[__name__] = sys.modules["fc_event_service"]
else:
    # `python -m service` has the current folder first on the path. No file there may take the place
    # of a module that we import: the function's folder gets there when the function is loaded.
    _started = sys.orig_argv[-len(sys.argv)] if sys.argv[:1] == ["-m"] else ""
    _ours = _started.removeprefix("-m") in ("service", __name__)
    _folder = sys.path[:1] if _ours and not sys.flags.safe_path else []
    del sys.path[: len(_folder)]
    from .first.begin import begin as _begin
    from .first.begin import is_program as _is_program

    if _is_program():
        _begin()  # at once: a signal that process 1 has no handler for is dropped
        from .first.late_modules import hold_places as _hold_places

        _hold_places()
    try:
        from .calls.stream import EventStream
        from .context.call import Context, current_context
        from .errors import InvalidEvent
        from .names import adopt
    except ModuleNotFoundError as _missing:
        sys.path[:0] = _folder  # Python looks for us once more, for its message
        if (_missing.name or __name__).startswith(__name__):
            raise
        raise ImportError(
            f"{_missing.name} is not installed for this Python: `make run` or `make dev` installs"
            " what is needed into .venv; say .venv/bin/python, or `. .venv/bin/activate` first",
            name=_asked,
        ) from None
    adopt()

__version__ = "0.1.0"
__all__ = [
    "AroundCall",
    "Claimed",
    "Context",
    "Drop",
    "EventStream",
    "InvalidEvent",
    "MemoryStore",
    "OnceStore",
    "RedisStore",
    "Retry",
    "Router",
    "SpawnedTask",
    "TablestoreStore",
    "__version__",
    "batched",
    "create_app",
    "current_context",
    "each",
    "metrics",
    "once",
    "parameter",
    "secret",
    "shared",
    "spawn",
]

LATE_NAMES = {
    "AroundCall": ".lifetime.around",
    "Claimed": ".idempotency.stores",
    "Drop": ".records.outcomes",
    "MemoryStore": ".idempotency.stores",
    "OnceStore": ".idempotency.stores",
    "RedisStore": ".idempotency.redis_store",
    "Retry": ".records.outcomes",
    "Router": ".routing",
    "TablestoreStore": ".idempotency.tablestore_store",
    "SpawnedTask": ".lifetime.spawned",
    "batched": ".batching.decorator",
    "create_app": ".embed",
    "each": ".records.decorator",
    "metrics": ".metrics",
    "once": ".idempotency.decorator",
    "parameter": ".resources.parameters",
    "secret": ".resources.parameters",
    "shared": ".resources.sharing",
    "spawn": ".lifetime.spawned",
}
"""What few need, with the module that has it: it is imported when it is first used, and the import
of the package stays cheap. A module's own name stands for the module.
"""


def __getattr__(name: str) -> Any:
    """Import what few need when it is first used."""
    home = LATE_NAMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = importlib.import_module(home, __name__)
    return found if home == f".{name}" else getattr(found, name)
