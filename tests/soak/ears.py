"""Phones that hear their streams and are cut off again and again: `python -m tests.soak.ears`.

Reads `{"socket", "seed", "cut_s", "ears": [{"user_id", "role", "access"}]}` as its first line. Each
ear says hello with what it holds and applies `seq = last + 1`; anything else is a breach, and it
comes back. Prints how many events all of them have heard, about every half second. The second line
is `{"heads": {"role user_id": seq}}`: they are cut off no longer, and once each has heard so far
(or has not within two minutes) it writes `{"breaches", "cuts", "closed", "ears": [{"user_id",
"role", "parts": [[first seq, [n, …]], …], "jumped": [[from, to], …]}]}`: the `n` of each event that
it applied, and where a snapshot stood for events.
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

AGAIN_S = 0.3  # at most, before a phone that was cut off comes back
LATEST_S = 120.0  # to hear the last event
TOLD_EVERY_S = 0.5
AT_ONCE = 25  # handshakes
CLOSE_S = 5.0  # for the server to end what a phone closed


class Book:
    """What all ears of the process have noticed together."""

    def __init__(self):
        self.heard = 0
        self.breaches = []
        self.cuts, self.closed = Counter(), Counter()
        self.door = asyncio.Semaphore(AT_ONCE)


class Ear:
    """One phone. `parts` holds what it applied, in order."""

    def __init__(self, who, port, rng, cut_s, book):
        self.who, self.port, self.rng, self.cut_s, self.book = who, port, rng, cut_s, book
        self.epoch, self.after = None, None
        self.parts, self.jumped = [], []

    async def listen(self):
        while True:
            try:
                await self._once()
            except OSError as fault:
                self.book.closed[type(fault).__name__] += 1
            await asyncio.sleep(self.rng.uniform(0, AGAIN_S))

    async def _once(self):
        """From the handshake until either side ends it."""
        async with self.book.door:
            line = await cheap_socket.connect(
                self.port, self.who, self._hear, epoch=self.epoch, after=self.after
            )
        try:
            async with asyncio.timeout(self.rng.expovariate(1 / self.cut_s)):
                code = await asyncio.shield(line.ended)
            self.book.closed[str(code or "cut")] += 1
        except TimeoutError:
            await self._cut(line)
        finally:
            line.abort()

    async def _cut(self, line):
        """By chance: without a word, politely, or after a while of not reading."""
        how = self.rng.choice(("abort", "close", "stall"))
        self.book.cuts[how] += 1
        if how == "stall":
            line.transport.pause_reading()
            await asyncio.sleep(self.rng.uniform(0.2, 1.0))
        elif how == "close":
            line.close()
            await asyncio.wait({line.ended}, timeout=CLOSE_S)

    def _hear(self, frame):
        if frame["type"] == "welcome":
            self._welcomed(frame)
        elif frame["type"] == "event":
            self._take(frame)

    def _welcomed(self, frame):
        if frame["snapshot"] is not None:
            if self.after is not None:
                self.jumped.append([self.after, frame["seq"]])
            self._begin(frame["seq"])
        elif (frame["epoch"], frame["seq"]) != (self.epoch, self.after):
            self._breach("resumed elsewhere", frame["seq"])
        self.epoch = frame["epoch"]

    def _begin(self, seq):
        self.after = seq
        self.parts.append([seq + 1, []])

    def _take(self, frame):
        if frame["seq"] == self.after + 1:
            self.after += 1
            self.parts[-1][1].append(frame["data"]["n"])
            self.book.heard += 1
        else:
            self._breach("gap" if frame["seq"] > self.after else "again", frame["seq"])

    def _breach(self, what, seq):
        self.book.breaches.append([self.who["user_id"], what, self.after, seq])
        raise OSError(what)

    def is_behind(self, heads):
        return (self.after or 0) < heads.get(f"{self.who['role']} {self.who['user_id']}", 0)

    def told(self):
        shown = {name: self.who[name] for name in ("user_id", "role")}
        return {**shown, "parts": self.parts, "jumped": self.jumped}


def say(book, listening):
    """How far they all are; raises what ended one of them."""
    for task in listening:
        if task.done():
            task.result()
    sys.stdout.write(f"{book.heard}\n")
    sys.stdout.flush()


async def main():
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    plan, book = json.loads(await reader.readline()), Book()
    port = urlsplit(plan["socket"]).port
    ears = [
        Ear(who, port, random.Random(f"{plan['seed']} {i}"), plan["cut_s"], book)
        for i, who in enumerate(plan["ears"])
    ]
    listening = [asyncio.create_task(ear.listen()) for ear in ears]
    ending = asyncio.create_task(reader.readline())
    while not ending.done():
        say(book, listening)
        await asyncio.sleep(TOLD_EVERY_S)
    heads = json.loads(ending.result())["heads"]
    for ear in ears:
        ear.cut_s = 3600.0
    deadline = time.monotonic() + LATEST_S
    while time.monotonic() < deadline and any(ear.is_behind(heads) for ear in ears):
        say(book, listening)
        await asyncio.sleep(TOLD_EVERY_S)
    told = {"breaches": book.breaches, "cuts": book.cuts, "closed": book.closed}
    sys.stdout.write(json.dumps({**told, "ears": [ear.told() for ear in ears]}) + "\n")


if __name__ == "__main__":
    uvloop.run(main())
