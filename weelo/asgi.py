"""The live service's ASGI application: which socket is at which path.

HTTP for phones is WSGI (`weelo.wsgi`): synchronous views are slow under ASGI.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "weelo.settings")
django.setup(set_prefix=False)

# The models of these need the set-up above.
from dispatch.consumers import CaptainConsumer, CustomerConsumer  # noqa: E402
from dispatch.ops import OpsConsumer  # noqa: E402
from orders import receipts  # noqa: E402
from weelo.events.service import LiveService  # noqa: E402

application = LiveService(
    {
        "/ws/captain/": CaptainConsumer,
        "/ws/customer/": CustomerConsumer,
        "/ws/ops/": OpsConsumer,
    },
    on_ack=receipts.DELIVERED,
)
