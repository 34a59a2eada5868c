"""The sending side of one socket, with a peer that is only a list."""

import asyncio

from weelo.events import socket
from weelo.events.socket import BACKLOG, Code, Socket


class Peer:
    """Takes what is sent; can stop to read."""

    def __init__(self):
        self.got, self.reads = [], asyncio.Event()
        self.reads.set()

    async def send(self, message):
        if message["type"] == "websocket.send":
            await self.reads.wait()
        self.got.append(message.get("text") or message["code"])


async def test_held_events_follow_the_missed_ones_in_order_and_once():
    peer = Peer()
    line = Socket(peer.send)
    for seq in (4, 5, 6):
        line.event(seq, f"e{seq}")
    line.start("welcome", 2, ["e3", "e4"])
    line.event(7, "e7")
    line.event(6, "e6")
    await line.finished()
    assert peer.got == ["welcome", "e3", "e4", "e5", "e6", "e7"]


async def test_a_gap_ends_the_socket_instead_of_being_passed_on():
    peer = Peer()
    line = Socket(peer.send)
    line.start("welcome", 0, [])
    line.event(2, "e2")
    await line.finished()
    assert peer.got == ["welcome", Code.RESTART]


async def test_a_full_backlog_closes_once_past_what_cannot_leave():
    peer = Peer()
    line = Socket(peer.send)
    line.start("welcome", 0, [])
    await line.finished()
    peer.reads.clear()
    for seq in range(1, 200):
        line.event(seq, "x" * (BACKLOG // 50))
        if seq % 10 == 0:
            await asyncio.sleep(0)
    await line.finished()
    await asyncio.sleep(0)
    assert peer.got == ["welcome", Code.OVERLOAD]


async def test_a_long_resume_is_no_backlog():
    peer = Peer()
    line = Socket(peer.send)
    line.start("welcome", 0, ["x" * BACKLOG] * 3)
    line.event(4, "e4")
    await line.finished()
    assert peer.got[-1] == "e4"


async def test_a_frame_that_does_not_leave_closes_the_socket(monkeypatch):
    monkeypatch.setattr(socket, "STALL_SECONDS", 0.05)
    peer = Peer()
    line = Socket(peer.send)
    peer.reads.clear()
    line.start("welcome", 0, ["e1"])
    await line.finished()
    assert peer.got == [Code.OVERLOAD]


async def test_live_frames_are_dropped_for_a_reader_that_is_behind():
    peer = Peer()
    line = Socket(peer.send)
    line.live("before welcome")
    line.start("welcome", 0, [])
    await line.finished()
    peer.reads.clear()
    for n in range(100):
        line.live(f"l{n}")
    line.event(1, "e1")
    peer.reads.set()
    await line.finished()
    assert peer.got[0] == "welcome"
    assert peer.got[-1] == "e1"
    assert len(peer.got) < 30


async def test_a_close_waits_for_the_frames_before_it_and_the_first_code_counts():
    peer = Peer()
    line = Socket(peer.send)
    line.start("welcome", 0, ["e1"])
    line.say("restart")
    line.close(Code.RESTART)
    line.close(Code.SILENT)
    line.event(2, "e2")
    await line.finished()
    assert peer.got == ["welcome", "e1", "restart", Code.RESTART]
