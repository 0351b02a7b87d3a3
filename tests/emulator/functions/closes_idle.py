"""A server that closes idle connections, as many servers do after a while: here, once there is a
file.
"""

import asyncio
import os
from typing import Any

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
IDLE: set[Any] = set()


def is_overdue() -> bool:
    return os.path.exists(os.environ["OVERDUE"])


class Connection(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.transport in IDLE and is_overdue():  # its timer was due before this came
            self.transport.abort()
            return
        IDLE.add(self.transport)
        self.transport.write(ANSWER)  # the process may be frozen right after it


async def main() -> None:
    loop = asyncio.get_running_loop()
    port = int(os.environ["FC_CUSTOM_LISTEN_PORT"])
    async with await loop.create_server(Connection, "0.0.0.0", port):
        while True:
            await asyncio.sleep(0.005)
            while IDLE and is_overdue():
                IDLE.pop().close()


asyncio.run(main())
