"""What an SDK's error says about a parameter that cannot be read, in words that say what to do."""

from __future__ import annotations

import re

FORBIDDEN = re.compile("nopermission|accessdenied|forbidden|unauthorized", re.IGNORECASE)
ABSENT = re.compile("notfound|notexist|entitynotexists", re.IGNORECASE)
BAD_KEYS = re.compile("accesskey|securitytoken|signature|credential", re.IGNORECASE)
BUSY = re.compile("throttling|serviceunavailable|internalerror|rejected", re.IGNORECASE)
SAFE = re.compile(r"[^\w.\-]")


def refusal_of(failure: BaseException, permissions: str, region: str, shown: str) -> str:
    """Return why, and what to do. No text of the SDK's is in it, which may quote what was sent:
    only the code of the error and the id of the request.
    """
    failure = getattr(failure, "inner_exception", None) or failure
    code = SAFE.sub("", str(getattr(failure, "code", "") or ""))[:80]
    sent = SAFE.sub("", str(getattr(failure, "request_id", "") or ""))[:80]
    status = getattr(failure, "status_code", None)
    said = f"{code or type(failure).__name__}" + (f", request {sent}" if sent else "")
    if not isinstance(status, int):
        return _unreachable(failure, said)
    if ABSENT.search(code):
        return f"there is none of that name in {region} ({said}): create it there, or name another"
    if BAD_KEYS.search(code):
        return f"the role's credentials are not accepted ({said}): see that the role still exists"
    if FORBIDDEN.search(code) or status in (401, 403):
        return f"the function's role may not ({said}): allow it {permissions} on {shown}"
    if BUSY.search(code) or status in (429, 500, 502, 503):
        return f"the service is busy ({said}): the next call tries again"
    return f"it is refused with status {status} ({said})"


def _unreachable(failure: BaseException, said: str) -> str:
    if not isinstance(failure, OSError) and type(failure).__name__ != "RetryError":
        return f"the answer is none of the service's ({said})"
    return (
        f"the service cannot be reached ({said}): a function in a VPC without internet access needs"
        " the VPC's endpoint, endpoint=..."
    )
