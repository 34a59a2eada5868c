"""Live frames: what is true for a second, such as where a truck is. Lossy, never an event.

They travel in the form of the channel layer, one group per user and role. The publishing is done
here and not by `group_send`, which needs an event loop and waits without end for a frozen Redis,
and the hub hears them on the one connection that it has.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog
from channels.layers import get_channel_layer
from django.conf import settings

from weelo.events.models import Role
from weelo.lib.redis import RedisAway, guarded
from weelo.lib.wire import encode

log = structlog.get_logger(__name__)


def group_of(user_id: UUID, role: Role) -> str:
    """The channel layer's group of a person in a role."""
    return f"live.{role}.{user_id.hex}"


def topic_of(user_id: UUID, role: Role) -> str:
    """The Redis channel on which the layer publishes that group."""
    layers: dict[str, Any] = settings.CHANNEL_LAYERS
    prefix = layers["default"]["CONFIG"]["prefix"]
    return f"{prefix}__group__{group_of(user_id, role)}"


def send_live(recipients: Iterable[tuple[UUID, Role]], name: str, data: dict[str, Any]) -> None:
    """Send `{"type": "live", "name", "data"}` to the sockets of these people, if they have any.

    One Redis round trip from any thread; nothing when Redis is away.
    """
    frame = encode({"type": "live", "name": name, "data": data})
    message = get_channel_layer().serialize({"type": "live", "frame": frame})
    try:
        with guarded() as redis:
            pipeline = redis.pipeline(transaction=False)
            for user_id, role in recipients:
                pipeline.publish(topic_of(user_id, role), message)
            pipeline.execute()
    except RedisAway as fault:
        log.debug("live frame lost", name=name, reason=str(fault))


def frame_of(message: bytes) -> str:
    """The frame within a message of the layer."""
    content: dict[str, Any] = get_channel_layer().deserialize(message)
    return str(content["frame"])
