"""Tells some people at a time, and when each was committed: `python -m tests.soak.broadcasting`.

Reads lines `{"n", "user_ids"}`; for each delivers one captain's message in one transaction and
prints `{"n", "committed"}`, the monotonic clock's time just after the commit.
"""

import json
import sys
import time

import django


def main():
    django.setup(set_prefix=False)
    from django.db import transaction

    from weelo.events.deliver import Message, deliver
    from weelo.events.models import Role

    for line in sys.stdin:
        asked = json.loads(line)
        data = {"n": asked["n"]}
        with transaction.atomic(durable=True):
            deliver(
                [Message(one, Role.CAPTAIN, "new_broadcast", data) for one in asked["user_ids"]]
            )
        sys.stdout.write(json.dumps({"n": asked["n"], "committed": time.monotonic()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
