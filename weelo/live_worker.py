"""The worker of the live service: uvicorn, set up for many quiet sockets."""

from typing import Any, ClassVar

from django.conf import settings
from uvicorn_worker import UvicornWorker


class LiveWorker(UvicornWorker):  # type: ignore[misc]
    """Pings every 25 s and gives up on a silent phone within 60 s; no compression, which
    costs every socket memory; a frame over the limit closes 1009."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        **UvicornWorker.CONFIG_KWARGS,
        "ws": "weelo.lib.socket_protocol:SocketProtocol",
        "ws_max_size": settings.FRAME_LIMIT,
        "ws_per_message_deflate": False,
        "ws_ping_interval": 25.0,
        "ws_ping_timeout": 30.0,
        "timeout_graceful_shutdown": 3,
    }
