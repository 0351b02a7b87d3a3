"""The short name of `fc_event_service`, as the installed package answers to it."""

import sys
from typing import TYPE_CHECKING

import fc_event_service

if TYPE_CHECKING:  # who imports this gets the other; a star would import what few need
    from fc_event_service import *  # noqa: F403

sys.modules[__name__] = fc_event_service
