"""A server that closes connections which were idle for 0.2 s, as many servers do after a while."""

import asyncio
import math
import os
import time
from typing import Any

IDLE = 0.2
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Connection(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.used = math.inf
        self.timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if time.monotonic() - self.used > IDLE:
            self.transport.abort()
            return
        if self.timer is not None:
            self.timer.cancel()
        self.used = time.monotonic()
        self.timer = asyncio.get_running_loop().call_later(IDLE, self.transport.close)
        self.transport.write(ANSWER)  # the process may be frozen right after it


async def main() -> None:
    loop = asyncio.get_running_loop()
    port = int(os.environ["FC_CUSTOM_LISTEN_PORT"])
    async with await loop.create_server(Connection, "0.0.0.0", port) as server:
        await server.serve_forever()


asyncio.run(main())
