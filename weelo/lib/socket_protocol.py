"""uvicorn's WebSocket protocol, with an end for peers that do not read or do not answer."""

import asyncio
import logging
import socket
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CLOSE_SECONDS = 5.0  # what a peer gets to read the close frame
SEND_BUFFER_BYTES = 64 * 1024  # of the kernel: a reader that stalls is noticed after this much
SILENT = 4408

# Three lines for each socket say nothing that the consumer does not say better.
_log = logging.getLogger("weelo.sockets")
_log.setLevel(logging.WARNING)


class SocketProtocol(WebSocketsSansIOProtocol):
    """A close never waits for a stalled reader, and the connection is cut soon after it.

    uvicorn's own waits until the peer has read everything before, which may be never.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = _log

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        line = transport.get_extra_info("socket")
        if line is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()
            self._cut_soon()
        await super().send(message)

    def keepalive_timeout(self) -> None:
        """No pong in time: close 4408 instead of uvicorn's 1011, and cut."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(SILENT, "silent too long")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
        self._cut_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self._cut_soon()

    def _cut_soon(self) -> None:
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
