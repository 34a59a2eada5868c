"""A phone's handshake, for processes that hold many."""

import json

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

OPTIONS = {"compression": None, "proxy": None, "ping_interval": None, "open_timeout": 60}
CUT_OFF = (ConnectionClosed, OSError, InvalidHandshake, InvalidMessage, TimeoutError)


async def hello(socket, who, epoch, after):
    """A socket of `who` (user_id, role, access) who holds `after`, and the first frame on it."""
    line = await connect(
        f"{socket}/ws/{who['role']}/",
        additional_headers={"Authorization": f"Bearer {who['access']}"},
        **OPTIONS,
    )
    await line.send(json.dumps({"type": "hello", "epoch": epoch, "after": after}))
    return line, json.loads(await line.recv())


def why(fault):
    """What ended a socket, for a count: the code that came, or the kind of fault."""
    if isinstance(fault, ConnectionClosed):
        return str(fault.rcvd.code) if fault.rcvd else "cut"
    return type(fault).__name__
