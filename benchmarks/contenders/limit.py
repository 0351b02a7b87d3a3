"""The limit: what this work costs in Python when nothing stands around it. Not a server to use:
it refuses nothing, limits nothing and knows one path.
"""

import asyncio
import os
import sys

import httptools
import orjson
import uvloop


class Connection(asyncio.Protocol):
    """One connection: a head, its body, the two lines, the answer, again."""

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_message_begin(self):
        self.headers = {}
        self.body = b""

    def on_header(self, name, value):
        self.headers[name.lower()] = value

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.answer(self.begin())

    def begin(self):
        os.write(1, b"FC Invoke Start RequestId: %b\n" % self.headers[b"x-fc-request-id"])
        return orjson.loads(self.body)

    def answer(self, event):
        name = self.headers[b"x-fc-request-id"]
        body = orjson.dumps({"count": len(event["items"]), "requestId": name.decode()})
        os.write(1, b"FC Invoke End RequestId: %b\n" % name)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nx-fc-request-id: %b\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (name, len(body), body)
        )


async def main(port):
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
