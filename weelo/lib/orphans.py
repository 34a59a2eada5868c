"""Ends the process groups of a supervisor that was killed.

Runs by path beside the supervisor, in a session of its own, and reads from it `+ID` and `-ID` of
the groups that live. When the pipe closes, however the supervisor went, what is left is asked to
end, and killed soon after.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 4


def groups_left(lines: list[str]) -> set[int]:
    left: set[int] = set()
    for line in lines:
        group = int(line[1:])
        (left.add if line.startswith("+") else left.discard)(group)
    return left


def is_alive(group: int) -> bool:
    """Whether anybody in the group may be signalled."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end(groups: set[int]) -> None:
    for stop_signal in (signal.SIGTERM, signal.SIGKILL):
        for group in filter(is_alive, groups):
            os.killpg(group, stop_signal)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(map(is_alive, groups)) and time.monotonic() < deadline:
            time.sleep(0.05)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(groups_left(sys.stdin.readlines()))
