"""`python -m service`, and the command `fc-event-service`."""

import gc

from .first.begin import begin

begin()

from .first.late_modules import free_places, hold_places  # noqa: E402

hold_places()

from .process.lazy_import import defer  # noqa: E402

defer("aiohttp")  # before all that imports it

from .commands.main import main  # noqa: E402

free_places()
gc.freeze()
gc.enable()
if __name__ == "__main__":
    main()
