"""Many requests at one instant from one cheap process: `python -m tests.soak.volley < requests`.

Reads `{"port", "requests": ["…"], "path": "/livez", "within_s"}`; each request has a connection
of its own, which one GET of `path` has opened before. They leave in one go, or at even steps over
`within_s` seconds. Writes `[{"status", "seconds", "headers", "body"}, …]` in the order of the
requests; status 0 is a connection that broke. Prepared bytes and no client library, because the
generator shares the machine with what it measures.
"""

import asyncio
import json
import sys
import time

import uvloop

from tests.soak.line import Line

TOGETHER = 100  # connections opened at a time
LONGEST_S = 120.0


async def open_lines(port, path, number):
    """Connections that have served one request: the server keeps them like those of phones."""
    hello = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    loop, lines = asyncio.get_running_loop(), []
    while len(lines) < number:
        some = []
        for _ in range(min(TOGETHER, number - len(lines))):
            _, line = await loop.create_connection(Line, "127.0.0.1", port)
            some.append((line, line.ask(hello)))
        for line, answer in some:
            status, *_ = await asyncio.wait_for(answer, LONGEST_S)
            assert status == 200, f"GET {path}: {status}"
            lines.append(line)
    return lines


async def fire(port, path, requests, within_s):
    """Ask everything, each on its own connection; the answers in the same order."""
    lines = await open_lines(port, path, len(requests))
    step_s, began, waiting = within_s / max(1, len(requests)), time.perf_counter(), []
    for i, (line, request) in enumerate(zip(lines, requests, strict=True)):
        if (early_s := began + i * step_s - time.perf_counter()) > 0:
            await asyncio.sleep(early_s)
        waiting.append((time.perf_counter(), line.ask(request)))
    answers = []
    for sent, answer in waiting:
        status, came, headers, body = await asyncio.wait_for(answer, LONGEST_S)
        named = {k.decode(): v.decode() for k, v in headers.items()}
        answers.append(
            {"status": status, "seconds": came - sent, "headers": named, "body": body.decode()}
        )
    return answers


def main():
    asked = json.load(sys.stdin)
    requests = [request.encode() for request in asked["requests"]]
    answers = uvloop.run(fire(asked["port"], asked["path"], requests, asked["within_s"]))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
