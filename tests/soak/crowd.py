"""Thousands of sockets in one cheap process: `python -m tests.soak.crowd`.

Reads `{"socket", "ears": [{"user_id", "role", "access"}]}`, opens a socket for each and opens it
again whenever it ends, as phones do. Prints a line each half second: `{"open", "opened", "closed",
"welcomed_at", "heard": [[n, user_id, at], …]}`: how many are open now, were opened in all and ended
(by code), when the last one was welcomed, and the events since the last line. Times are of the
monotonic clock, which all processes of a machine share.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import uvloop

from tests import cheap_socket

AT_ONCE = 200  # handshakes
AGAIN_S = 1.0  # at most, before somebody who was cut off without a word comes back
TOLD_EVERY_S = 0.5


class Crowd:
    """What all of them have seen together."""

    def __init__(self, plan):
        self.port = urlsplit(plan["socket"]).port
        self.door = asyncio.Semaphore(AT_ONCE)
        self.open = self.opened = 0
        self.closed = Counter()
        self.welcomed_at = 0.0
        self.heard = []

    async def stay(self, who):
        """One phone, for ever."""
        held = {"epoch": None, "after": None}
        while True:
            held["retry_in"] = random.uniform(0, AGAIN_S)
            try:
                self.closed[str(await self._once(who, held) or "cut")] += 1
            except OSError as fault:
                self.closed[type(fault).__name__] += 1
            await asyncio.sleep(held["retry_in"])

    async def _once(self, who, held):
        """The code that the socket ended with."""
        async with self.door:
            line = await cheap_socket.connect(
                self.port,
                who,
                lambda frame: self._take(frame, who, held),
                epoch=held["epoch"],
                after=held["after"],
            )
        began = line.begun.done()
        self.opened, self.open = self.opened + began, self.open + began
        try:
            return await line.ended
        finally:
            self.open -= began
            line.abort()

    def _take(self, frame, who, held):
        if frame["type"] == "welcome":
            held["epoch"], held["after"] = frame["epoch"], frame["seq"]
            self.welcomed_at = time.monotonic()
        elif frame["type"] == "event":
            assert frame["seq"] == held["after"] + 1, (frame["seq"], held)
            held["after"] = frame["seq"]
            self.heard.append([frame["data"]["n"], who["user_id"], time.monotonic()])
        elif frame["type"] == "restart":
            held["retry_in"] = frame["retry_in"]

    def say(self):
        heard, self.heard = self.heard, []
        shown = {name: getattr(self, name) for name in ("open", "opened", "closed", "welcomed_at")}
        sys.stdout.write(json.dumps({**shown, "heard": heard}) + "\n")
        sys.stdout.flush()


async def main():
    plan = json.loads(await asyncio.to_thread(sys.stdin.readline))
    crowd = Crowd(plan)
    staying = [asyncio.create_task(crowd.stay(who)) for who in plan["ears"]]
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not over.done():
        crowd.say()
        for task in staying:
            if task.done():
                task.result()
        await asyncio.sleep(TOLD_EVERY_S)


if __name__ == "__main__":
    uvloop.run(main())
