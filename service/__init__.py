"""Run Python event functions on Alibaba Cloud Function Compute, up to 200 calls at once in one
instance.
"""

from service.body import EventStream
from service.context import Context, current_context
from service.errors import InvalidEvent

__version__ = "0.1.0"
__all__ = ["Context", "EventStream", "InvalidEvent", "__version__", "current_context"]
