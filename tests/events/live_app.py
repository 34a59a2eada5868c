"""The live service with small consumers of its own, for the tests of everything below them."""

import os
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "weelo.settings")
django.setup(set_prefix=False)

from weelo.events.consumers import BaseConsumer  # noqa: E402
from weelo.events.live import send_live  # noqa: E402
from weelo.events.models import Event, Role  # noqa: E402
from weelo.events.service import LiveService  # noqa: E402
from weelo.lib.problems import NotFound  # noqa: E402


def echo(session, payload):
    return {"user": session.user_id, **payload}


def refuse(session, payload):
    raise NotFound("There is no such thing.")


def fail(session, payload):
    raise ZeroDivisionError


def nap(session, payload):
    time.sleep(payload["seconds"])
    return {}


class Customer(BaseConsumer):
    role = Role.CUSTOMER
    commands = {"echo": echo, "refuse": refuse, "fail": fail, "nap": nap}

    def snapshot(self, user):
        """How many events the transaction sees; slow, so that more are written meanwhile."""
        time.sleep(float(os.environ.get("SNAPSHOT_SECONDS", "0")))
        events = Event.objects.filter(stream__user=user, stream__role=self.role)
        return {"events": events.count()}


class Captain(BaseConsumer):
    role = Role.CAPTAIN
    takes_positions = True

    def allowed(self, user):
        return user.name != "not a captain"

    def snapshot(self, user):
        return {"offers": []}

    def on_position(self, session, payload):
        send_live([(session.user_id, Role.CAPTAIN)], "location_updated", payload)
        return {"accepted": len(payload.get("points", [1]))}


application = LiveService({"/ws/customer/": Customer, "/ws/captain/": Captain})
