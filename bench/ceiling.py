"""`python -m bench.ceiling PORT`: the least an asyncio server can do, one fixed answer to any request."""

from __future__ import annotations

import asyncio
import sys

from .hosts import ADDRESS

BODY = b'{"current": {"state": "Closed"}, "filler": "%s"}' % (b"x" * 500)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


class OneAnswer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        # Our generator asks one thing at a time, and a request fits one segment on loopback.
        self.transport.write(HEAD + BODY)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(OneAnswer, ADDRESS, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
