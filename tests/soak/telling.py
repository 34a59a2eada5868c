"""Delivers messages as verbs do, many a second: `python -m tests.soak.telling`, as a site process.

Reads `{"people": [[user_id, role], …], "seed", "events", "a_second"}` as its first line. Each
transaction delivers to some people by chance, to some of them several messages; one in twenty is
rolled back. Prints how many messages were committed; ends after `events`, or when its input ends.
A transaction that broke off counts only if it turns out to be there: the judge reads the database.
"""

import json
import random
import select
import sys
import time

import django

MOST_PEOPLE, MOST_EACH = 40, 3
TOLD_EVERY = 50  # transactions


def main():
    django.setup(set_prefix=False)
    from django.db import InterfaceError, OperationalError, connection, transaction

    from weelo.events.deliver import deliver

    plan = json.loads(sys.stdin.readline())
    rng, told, began, turn = random.Random(plan["seed"]), 0, time.monotonic(), 0
    while told < plan["events"] and not select.select([sys.stdin], [], [], 0)[0]:
        messages, rolls_back = some(rng, plan["people"]), rng.random() < 0.05
        try:
            with transaction.atomic(durable=True):
                deliver(messages)
                transaction.set_rollback(rolls_back)
            told += 0 if rolls_back else len(messages)
        except (OperationalError, InterfaceError):
            connection.close()
            time.sleep(0.1)
        turn += 1
        if turn % TOLD_EVERY == 0:
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()
        ahead_s = began + told / plan["a_second"] - time.monotonic()
        time.sleep(max(0.0, ahead_s))
    sys.stdout.write(f"{told}\n")


def some(rng, people):
    """Messages to some of the people, whose `n` says which one it was."""
    from weelo.events.deliver import Message
    from weelo.events.models import Role

    chosen = rng.sample(people, rng.randint(1, min(MOST_PEOPLE, len(people))))
    return [
        Message(user_id, Role(role), "captains_told", {"n": rng.getrandbits(31)})
        for user_id, role in chosen
        for _ in range(rng.randint(1, MOST_EACH))
    ]


if __name__ == "__main__":
    main()
