"""fc-event-service without one of its features, to find out what that costs: `without.py FEATURE`,
then the service's own flags. What is taken away here cannot be taken away in the service.
"""

import contextlib
import gc
import sys

from service.process.lazy_import import defer

defer("aiohttp")

from service import protocol  # noqa: E402
from service.calls import admission, left_behind  # noqa: E402
from service.commands import handlers as routed  # noqa: E402
from service.commands import main  # noqa: E402
from service.logs import log  # noqa: E402
from service.process import loop  # noqa: E402


def nothing(*_):
    """Stand in for a part that is not there."""


def without_markers():
    def marker(self, _, *, gather=False):
        if gather:  # the answers of a turn still leave together: that is not the lines' price
            self.pipe.gather(b"")

    log.Logs.marker = marker


def without_deadline():
    protocol.time_limit = lambda *_: None


def without_attribution():
    log.Logs.end = nothing
    routed.install = lambda *_, **__: nothing
    loop.track_on = nothing
    tasks = set()
    left_behind.track = lambda: tasks


def without_admission():
    admission.Admission.take = admission.Budget.take = lambda *_: True
    admission.Admission.leave = admission.Budget.release = nothing


def without_watchdog():
    sys.argv += ["--stall-after", "0"]


globals()[f"without_{sys.argv.pop(1)}"]()
gc.freeze()
with contextlib.suppress(KeyboardInterrupt):
    main.main()
