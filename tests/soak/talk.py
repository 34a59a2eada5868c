"""A child process that is told lines of JSON and answers with lines of JSON."""

import json
import os
import subprocess
import sys
import threading

from tests.running import ROOT


class Talk:
    """`python -m module`; its answers are kept in `lines`."""

    def __init__(self, module, environment=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def last(self):
        """What it said last; 0 before it said anything."""
        return self.lines[-1] if self.lines else 0

    def say(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def stop(self, patience_s=120):
        """End its input, and let it finish; what it said last."""
        self.process.stdin.close()
        assert self.process.wait(patience_s) == 0
        self._reader.join(10)
        self.process.stdout.close()
        return self.last

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
