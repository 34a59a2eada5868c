"""Lives of orders over HTTP, one process of several: `python -m tests.soak.life < plan`.

Reads one line, `{"port", "seed", "out", "lives": [{"customer", "captains"}, …]}`, and lives until
its stdin closes. Every write that it sends is a line in `out`: `{"what", "who", "path", "key",
"result", "status", "code", "said"}`, where the result is ok, refused or unknown (no answer, or
5xx). What is unknown is sent again with the same key and arguments until somebody says what became
of it.
Prints the number of acknowledged writes every second.
"""

import asyncio
import json
import random
import sys
import uuid
from itertools import chain, repeat

import uvloop

from tests.soak.line import Caller
from tests.soak.wishes import wish

TOLD_WITHIN_S, LOOK_S = 8.0, 0.08
BREAKS = 5
AGAIN_S = (0.05, 0.1, 0.2, 0.4)
# Refusals that say "not now": the same call may be sent again.
LATER = {"CONCURRENT_REQUEST"}
DRIVE = ("en_route_pickup", "at_pickup", "in_transit", "at_drop", "completed")


# What an acknowledgement said, as far as it can be judged afterwards.
SAID = {
    "confirm": lambda a: {"order": a["id"]},
    "accept": lambda a: {"trips": {trip["id"]: trip["vehicle"]["id"] for trip in a["trips"]}},
    "decline": lambda a: {"offer": a["offer_id"], "state": a["state"]},
    "step": lambda a: {"trip": a["id"], "status": a["status"]},
    "give back": lambda a: {"trip": a["id"], "status": a["status"]},
    "cancel": lambda a: {"order": a["id"], "trucks": {t["id"]: t["status"] for t in a["trucks"]}},
    "rate": lambda a: {"trip": a["trip_id"], "stars": a["stars"]},
    "availability": lambda a: {"online": a["online"]},
}


class Over(Exception):
    """This order went another way than was meant."""


class Stopped(Exception):
    """The process is told to stop."""


class Book:
    """What was sent and what came back, a JSON line each."""

    def __init__(self, file):
        self.file = file
        self.acknowledged = 0

    def write(self, **entry):
        self.acknowledged += entry["result"] == "ok"
        self.file.write(json.dumps(entry) + "\n")


class Life:
    """One customer and three captains with the only trucks of their type, order after order."""

    def __init__(self, plan, port, book, stop, rng):
        self.customer, self.captains = plan["customer"], plan["captains"]
        self.caller, self.book, self.stop, self.rng = Caller(port), book, stop, rng

    async def run(self):
        """Until told to stop."""
        try:
            for captain in self.captains:
                await self.come_online(captain)
            while True:
                try:
                    await self.order()
                except Over:
                    await self.clear_up()
                for captain in self.captains:
                    await self.take_breaks(captain)
        except Stopped:
            self.caller.close()

    # --- one order ----------------------------------------------------------------------------

    async def order(self):
        """Confirm, be told, decline and accept, then cancel, give back or drive to the end."""
        key = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        here = (self.customer["lat"], self.customer["lng"])
        body = wish(here, 2, self.captains[0]["vehicle_type"])
        made = await self.write("confirm", self.customer, "POST", "orders", body, key=key)
        offers = await self.told(made["id"])
        one, two, third = self.captains
        await self.write("decline", third, "POST", f"offers/{offers[third['user_id']]}/decline")
        trips = {}
        for captain in (one, two):
            trips[captain["user_id"]] = await self.accept(captain, offers)
        if self.rng.random() < 0.2:
            await self.write("cancel", self.customer, "POST", f"orders/{made['id']}/cancel")
            return
        if self.rng.random() < 0.4:
            trip = trips.pop(one["user_id"])
            await self.write("give back", one, "POST", f"trips/{trip}/give-back")
            trips[third["user_id"]] = await self.accept(third, offers)
        await self.drive(made["id"], trips)

    async def told(self, order_id):
        """The offers of all three captains, once the loop has told them."""
        offers, looked_s = {}, 0.0
        while len(offers) < len(self.captains):
            for captain in self.captains:
                if captain["user_id"] in offers:
                    continue
                listed = await self.read(captain, "offers")
                for offer in listed["results"]:
                    if offer["order_id"] == order_id:
                        offers[captain["user_id"]] = offer["offer_id"]
            looked_s += LOOK_S
            if looked_s > TOLD_WITHIN_S:
                raise Over(f"{len(offers)} of {len(self.captains)} captains were told")
            await asyncio.sleep(LOOK_S)
        return offers

    async def accept(self, captain, offers):
        path = f"offers/{offers[captain['user_id']]}/accept"
        body = {"vehicle_ids": captain["vehicle_ids"]}
        won = await self.write("accept", captain, "POST", path, body)
        return won["trips"][0]["id"]

    async def drive(self, order_id, trips):
        """Every trip to its end; now and then the customer cancels one truck before its pickup."""
        shown = await self.read(self.customer, f"orders/{order_id}")
        codes = {t["trip"]["id"]: (t["trip"], t["id"]) for t in shown["trucks"] if t["trip"]}
        for captain in self.captains:
            if captain["user_id"] not in trips:
                continue
            trip_id = trips[captain["user_id"]]
            trip, truck_id = codes[trip_id]
            if self.rng.random() < 0.1:
                path = f"orders/{order_id}/trucks/{truck_id}/cancel"
                await self.write("cancel", self.customer, "POST", path)
                continue
            for status in DRIVE:
                body = {"status": status}
                if status == "in_transit":
                    body["start_code"] = trip["start_code"]
                if status == "completed":
                    body["proof"] = {"kind": "code", "code": trip["drop_code"]}
                await self.write("step", captain, "POST", f"trips/{trip_id}/status", body)
            stars = {"stars": self.rng.randint(1, 5)}
            await self.write("rate", self.customer, "POST", f"trips/{trip_id}/rating", stars)

    async def clear_up(self):
        """Cancel what an order that went another way has left, so that the next one may come."""
        active = await self.read(self.customer, "orders/active")
        for order in active["orders"]:
            path = f"orders/{order['id']}/cancel"
            await self.write(
                "cancel", self.customer, "POST", path, {"reason": "late"}, strict=False
            )

    async def take_breaks(self, captain):
        """Off and on again, a few times: the cheapest of the writes."""
        for _ in range(BREAKS - 1):
            await self.switch(captain, online=False)
            await self.switch(captain, online=True)
        await self.switch(captain, online=False)
        await self.come_online(captain)

    async def come_online(self, captain):
        await self.switch(captain, online=True)
        here = {"lat": self.customer["lat"], "lng": self.customer["lng"]}
        await self.ask("POST", "positions", captain, here)

    async def switch(self, captain, *, online):
        body = {"online": online}
        await self.write("availability", captain, "PUT", "availability", body)

    # --- one request --------------------------------------------------------------------------

    async def read(self, account, path):
        status, body = await self.ask("GET", path, account)
        if status != 200:
            raise Over(f"GET {path}: {status} {body}")
        return body

    async def ask(self, method, path, account, body=None):
        """Until there is an answer that means something."""
        for pause_s in self.pauses():
            status, answer = await self.caller.call(method, path, account, body)
            if 0 < status < 500:
                return status, answer
            await asyncio.sleep(pause_s)
        raise Stopped

    async def write(self, what, account, method, path, body=None, *, key="", strict=True):
        """Send a write until it is acknowledged, which the book keeps. Raises Over if refused."""
        entry = {"what": what, "who": account["user_id"], "path": path, "key": key}
        for pause_s in self.pauses():
            status, answer = await self.caller.call(method, path, account, body, key)
            code = (answer or {}).get("code") if status >= 400 or not status else None
            result = "ok" if 200 <= status < 300 else "refused" if 0 < status < 500 else "unknown"
            said = SAID[what](answer) if result == "ok" else None
            self.book.write(**entry, result=result, status=status, code=code, said=said)
            if result == "ok":
                return answer
            if result == "refused" and code not in LATER:
                if strict:
                    raise Over(f"{what}: {status} {code}")
                return None
            await asyncio.sleep(pause_s)
        raise Stopped

    def pauses(self):
        """How long to wait after each try, as often as needed until the process stops."""
        for pause_s in chain(AGAIN_S, repeat(AGAIN_S[-1])):
            if self.stop.is_set():
                return
            yield pause_s


async def live(plan, book):
    """All lives of this process until stdin closes."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    chances = [random.Random(f"{plan['seed']} {i}") for i in range(len(plan["lives"]))]
    lives = [
        asyncio.create_task(Life(one, plan["port"], book, stop, chance).run())
        for one, chance in zip(plan["lives"], chances, strict=True)
    ]
    while not stop.is_set():
        sys.stdout.write(f"{book.acknowledged}\n")
        sys.stdout.flush()
        done, _ = await asyncio.wait(lives, timeout=1, return_when=asyncio.FIRST_EXCEPTION)
        for ended in done:
            ended.result()
    loop.remove_reader(sys.stdin.fileno())
    await asyncio.wait_for(asyncio.gather(*lives), Caller.PATIENCE_S + 5)


def main():
    # Read without a buffer: the end of stdin is waited for by its file descriptor.
    plan = json.loads(sys.stdin.buffer.raw.readline())
    with open(plan["out"], "w") as file:
        uvloop.run(live(plan, Book(file)))


if __name__ == "__main__":
    main()
