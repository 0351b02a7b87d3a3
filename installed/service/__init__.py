"""The short name of `fc_event_service`, as the installed package answers to it."""

import sys

import fc_event_service
from fc_event_service import *  # noqa: F403 - for type checkers: who imports this gets the other

sys.modules[__name__] = fc_event_service
