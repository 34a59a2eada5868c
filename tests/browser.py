"""A real browser: Chromium without a window, over its DevTools protocol."""

import itertools
import json
import re
import shutil
import subprocess
import time
from contextlib import contextmanager

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START_S, PAGE_S = 30, 20


class Tab:
    """One page; `complaints` are the console's errors and warnings, refused scripts among them."""

    def __init__(self, line):
        self._line, self._ids, self._events, self.complaints = line, itertools.count(1), [], []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        found = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **words):
        return self._ask(method, self._session, **words)

    def open(self, address):
        """Load a page and wait until it is quiet."""
        self._loads(lambda: self.ask("Page.navigate", url=address))

    def click(self, selector):
        """Click what loads another page."""
        self._loads(lambda: self.run(f"document.querySelector({selector!r}).click()"))

    def type(self, selector, text):
        self.run(f"document.querySelector({selector!r}).value = {text!r}")

    def run(self, script):
        """The value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script):
        deadline = time.monotonic() + PAGE_S
        while not self.run(script):
            assert time.monotonic() < deadline, f"not so after {PAGE_S} s: {script}"
            time.sleep(0.1)

    def _loads(self, act):
        self._events.clear()
        act()
        deadline = time.monotonic() + PAGE_S
        while "Page.loadEventFired" not in self._events:
            self._read(deadline - time.monotonic())
        time.sleep(0.3)  # scripts that start with the page

    def _ask(self, method, session=None, **words):
        number = next(self._ids)
        frame = {"id": number, "method": method, "params": words}
        self._line.send(json.dumps({**frame, "sessionId": session} if session else frame))
        while (answer := self._read(PAGE_S)).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self, seconds):
        frame = json.loads(self._line.recv(timeout=max(0.01, seconds)))
        self._events.append(frame.get("method"))
        if frame.get("method") == "Log.entryAdded":
            entry = frame["params"]["entry"]
            is_icon = entry.get("url", "").endswith("/favicon.ico")  # browsers ask unasked
            if entry["level"] in ("error", "warning") and not is_icon:
                self.complaints.append(f"{entry['text']} ({entry.get('url', '')})")
        if frame.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(frame["params"]["exceptionDetails"])[:500])
        return frame


@contextmanager
def browser(folder):
    """A tab of a fresh browser whose profile lies in the folder."""
    process = subprocess.Popen(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *(
                "--remote-debugging-port=0",
                "--window-size=1400,1000",
                f"--user-data-dir={folder}",
                "--disable-dev-shm-usage",
            ),
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = next(
            found[0] for line in process.stderr if (found := re.search(r"ws://\S+", line))
        )
        with connect(address, max_size=None, proxy=None) as line:
            yield Tab(line)
    finally:
        process.terminate()
        process.wait(START_S)
        process.stderr.close()
