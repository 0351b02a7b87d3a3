"""How far a connection is towards its end.

    OPEN ----> LAST ----> DEAF ----> LEAVING ----> CLOSED
      |          |          |                        ^
      +----------+----------+------------------------+

    OPEN      requests are read, and served one after the other
    LAST      no request is read behind the one whose head came last: it asked for that, it wants an
              upgrade, or its end is not certain
    DEAF      what arrives is thrown away; requests that were read before are answered
    LEAVING   all is answered, and the client is given LINGER seconds to read it and to end
    CLOSED    nothing is sent any more

The state goes to the right only.
"""

from __future__ import annotations

from enum import IntEnum, auto


class ConnectionState(IntEnum):
    """How far the connection is; the picture is above."""

    OPEN = auto()
    LAST = auto()
    DEAF = auto()
    LEAVING = auto()
    CLOSED = auto()
