"""Every way a call or the start of the service can fail, each with its status and a stable code."""

from __future__ import annotations

import copy


class ServiceError(Exception):
    """A failure that a caller is told about: `status` and `code` go on the wire, the message says
    what to do.

    Subclasses are grouped by whose fault it is. The statuses follow docs/platform.md section 3:
    never 5xx, because Function Compute's handling of it is not documented and a 500 on a hook
    restarts the instance.
    """

    status = 404
    code = "ServiceError"
    headers: tuple[tuple[str, str], ...] = ()
    closes = False
    """True when the connection cannot serve another request after this one."""
    logged = False
    """True once the log has it."""


class CallerError(ServiceError):
    """The request itself is at fault."""

    status = 400


class BadRequest(CallerError):
    """The request is not one that can be read without guessing."""

    code = "BadRequest"


class BadFraming(BadRequest):
    """Where this request ends, or what it means, is not certain: nothing after it on its connection
    is read.
    """

    closes = True


class ClientGone(CallerError):
    """The sender closed the connection before its request was complete. Nobody reads the answer."""

    code = "ClientGone"
    closes = True


class ExpectationFailed(BadRequest):
    """The request expects what no server here does (RFC 9110 section 10.1.1)."""

    status = 417


class InvalidEvent(CallerError):
    """The body is not what the handler's annotation asks for."""

    code = "InvalidEvent"


class PayloadDiffers(InvalidEvent):
    """An event has the key of another one (`@once`), and is not the same."""

    code = "PayloadDiffers"


class NotAnEventFunction(CallerError):
    """An HTTP-trigger request reached an event function."""

    code = "NotAnEventFunction"


class NotFound(CallerError):
    """No such path."""

    status = 404
    code = "NotFound"


class MethodNotAllowed(CallerError):
    """The path exists and does not take this method; `allowed` are the methods it takes."""

    status = 405
    code = "MethodNotAllowed"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.headers = (("Allow", ", ".join(allowed)),)


class RequestTimeout(CallerError):
    """The head or the body of the request stopped arriving."""

    status = 408
    code = "RequestTimeout"
    closes = True


class PayloadTooLarge(CallerError):
    """The body is over the limit."""

    status = 413
    code = "PayloadTooLarge"
    closes = True


class TargetTooLong(CallerError):
    """The request target is over the limit (RFC 9112 section 3)."""

    status = 414
    code = "BadRequest"
    closes = True


class FieldsTooLarge(CallerError):
    """A header field is over the limit, or there are too many fields."""

    status = 431
    code = "BadRequest"
    closes = True


class Overloaded(ServiceError):
    """Every slot and every place in the queue is taken."""

    status = 429
    code = "Overloaded"
    headers = (("Retry-After", "1"),)


class Stopping(ServiceError):
    """The user's `pre_stop` has begun: no further call is run."""

    code = "Stopping"


class FunctionFault(ServiceError):
    """The user's function is at fault, without an exception of its own to show."""


class FunctionTimeout(FunctionFault):
    """The deadline passed before the handler was done."""

    code = "FunctionTimeout"


class RecordsFailed(FunctionFault):
    """Records of a batch have failed, or were left when the time was over, and nobody has taken
    them over.
    """

    code = "RecordsFailed"


class HandlerFailed(FunctionFault):
    """User code raised: `failure` is its exception, whose class name is the code on the wire."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__(text_of(failure))
        self.failure = failure
        self.code = type(failure).__name__


def text_of(failure: BaseException) -> str:
    """Return the exception's text, whatever its `__str__` does."""
    try:
        return str(failure)
    except BaseException as reason:
        return f"<no text: {type(failure).__name__}.__str__ raised {type(reason).__name__}>"


def forget(failure: BaseException | None) -> None:
    """Let go of the frames of an exception that has been told of, and of all it came from.

    Its traceback holds the frames that it passed, and one of these often holds the exception: a
    cycle, in which the event stays until garbage is looked for, which large events do not hasten.
    """
    seen: set[int] = set()
    left = [failure]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        left += [each.__cause__, each.__context__]
        if isinstance(each, HandlerFailed):
            left.append(each.failure)
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions


def own_copy(failure: BaseException) -> BaseException:
    """Return a failure for one of those who get it, with the same frames and causes; itself if it
    cannot be copied.

    Raised in several places, one would show the frames of all of them, and whoever has told of it
    lets go of its frames.
    """
    try:
        copied = copy.copy(failure)
        if type(copied) is not type(failure) or copied.args != failure.args:
            return failure
    except Exception:  # its class takes other arguments than it keeps
        return failure
    copied.__cause__, copied.__context__ = failure.__cause__, failure.__context__
    copied.__suppress_context__ = failure.__suppress_context__
    return copied.with_traceback(failure.__traceback__)


class ClientUnavailable(FunctionFault):
    """A client that the function asks for cannot be made: a package, credentials or a region is
    missing.
    """

    code = "ClientUnavailable"


class ParameterUnavailable(FunctionFault):
    """A parameter or a secret cannot be read."""

    code = "ParameterUnavailable"


class InitializationError(FunctionFault):
    """The initializer failed or timed out."""

    code = "InitializationError"


class BatchFailed(FunctionFault):
    """What a batch of calls has returned cannot be given to them."""

    code = "BatchFailed"


class UnserializableResult(FunctionFault):
    """The handler's result cannot become bytes."""

    code = "UnserializableResult"


class OnceStoreFailed(FunctionFault):
    """The store of `@once` cannot be used now, or has what `@once` has not written."""

    code = "OnceStoreFailed"


class PayloadUnhashable(FunctionFault):
    """An event that `@once` cannot compare with another one: it has no JSON."""

    code = "PayloadUnhashable"


class ResultNotKept(FunctionFault):
    """The event was handled before (`@once`), and its result was too large to be kept."""

    code = "ResultNotKept"


class KeptFailure(FunctionFault):
    """The event was handled before (`@once`) and failed, as `code` and the message say."""

    def __init__(self, message: str, code: str, status: int = 404) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class StopAsked(BaseException):
    """A stop of the process was asked for: not a failure of what it interrupts."""


class StartError(Exception):
    """The service cannot start. The message is one line for stderr: what is wrong, where, and what
    to do.
    """

    exit_code = 3
    log_format = "text"
    """In which form it is told: that of the log, as soon as the settings are known."""


class UsageError(StartError):
    """A flag, a variable or a settings file is wrong."""

    exit_code = 2


class HandlerUnfit(StartError):
    """The handler cannot be measured: it fails, or takes too long. The message says what to do."""

    exit_code = 1
