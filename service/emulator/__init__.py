"""Function Compute, played on the desk from the `s.yaml` that is deployed.

`emulator` plays it for a test, `FunctionCompute` for as long as a program wants. Beneath them
`spec` reads the file, `instances` plays the instances, `queue` keeps asynchronous calls, `api`
answers the platform's operations. docs/emulator.md says what is played, and what the platform's
documents leave open.
"""

from .calls import Invocation, Outcome, PlatformError
from .local import FunctionCompute
from .testing import BlockingFunctionCompute, emulator

__all__ = [
    "BlockingFunctionCompute",
    "FunctionCompute",
    "Invocation",
    "Outcome",
    "PlatformError",
    "emulator",
]
