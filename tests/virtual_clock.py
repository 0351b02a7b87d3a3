"""The virtual clock, by the name that the tests have for it."""

from service.testing.virtual_clock import CLOCK_START as START
from service.testing.virtual_clock import Deadlock, VirtualLoop, real_monotonic, run_virtual

__all__ = ["START", "Deadlock", "VirtualLoop", "real_monotonic", "run_virtual"]
