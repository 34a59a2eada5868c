"""One Redis subscription for a whole process, which comes back by itself."""

import asyncio
from collections.abc import Callable, Iterable

import redis
import structlog
from redis.asyncio.client import PubSub

from weelo.lib.redis import async_client

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 0.25
GATHER_SECONDS = 0.05  # between two changes of the channels, so that one command changes many
QUIET_SECONDS = 5.0  # without a message: ask whether the other side is there

Hear = Callable[[str, bytes], None]


class Listener:
    """Hears fixed channels and those added later; what is said while it is away is lost.

    `hear(channel, content)` gets each message; `heard_again()` is called after every (re)connect.
    """

    def __init__(
        self, channels: Iterable[str], hear: Hear, heard_again: Callable[[], None]
    ) -> None:
        self._channels = set(channels)
        self._hear, self._heard_again = hear, heard_again
        self._changed: set[str] = set()
        self._change = asyncio.Event()

    def subscribe(self, channel: str) -> None:
        """Hear this channel too, soon."""
        self._channels.add(channel)
        self._note(channel)

    def unsubscribe(self, channel: str) -> None:
        """Hear this channel no more."""
        self._channels.discard(channel)
        self._note(channel)

    def _note(self, channel: str) -> None:
        self._changed.add(channel)
        self._change.set()

    async def run(self) -> None:
        """Listen until cancelled, through any number of lost connections."""
        is_away = False
        while True:
            try:
                await self._connected()
            except* (redis.RedisError, OSError) as faults:
                if not is_away:
                    log.warning("subscription lost", reason=str(faults.exceptions[0]))
                is_away = True
            await asyncio.sleep(AGAIN_SECONDS)

    async def _connected(self) -> None:
        """One connection, until it is lost (ExceptionGroup of redis' and the system's errors)."""
        client = async_client(socket_timeout=None)
        pubsub = client.pubsub()
        try:
            async with asyncio.TaskGroup() as group:
                self._changed.clear()
                await pubsub.subscribe(*self._channels)
                self._heard_again()
                group.create_task(self._read(pubsub))
                group.create_task(self._adjust(pubsub))
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            await client.aclose()

    async def _read(self, pubsub: PubSub) -> None:
        """Hand on each message; silence is answered by a ping, silence after it is the end."""
        is_asked = False
        while True:
            message = await pubsub.get_message(timeout=QUIET_SECONDS)
            if message is None and is_asked:
                raise redis.ConnectionError("no answer to a ping")
            is_asked = message is None
            if message is None:
                await pubsub.ping()
            elif message["type"] == "message":
                self._hear(message["channel"].decode(), message["data"])

    async def _adjust(self, pubsub: PubSub) -> None:
        """Subscribe and unsubscribe what was noted meanwhile, many at a time."""
        while True:
            await self._change.wait()
            self._change.clear()
            changed, self._changed = self._changed, set()
            if wanted := changed & self._channels:
                await pubsub.subscribe(*wanted)
            if unwanted := changed - self._channels:
                await pubsub.unsubscribe(*unwanted)
            await asyncio.sleep(GATHER_SECONDS)
