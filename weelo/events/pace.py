"""How fast a socket may talk: so many frames a second, in bursts of as many."""

import time


class Pace:
    """A bucket that fills with `rate` frames a second and holds as many.

    While a frame is being worked on, it fills beyond that: frames which had to wait in line were
    not sent too fast.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = float(rate)
        self._since = time.monotonic()

    def rest(self) -> None:
        """Work on a frame is done; the next one is awaited."""
        self._left += self._passed() * self._rate

    def work(self) -> None:
        """A frame has come."""
        self._left = max(self._left, min(self._left + self._passed() * self._rate, self._rate))

    def allows(self) -> bool:
        """Take one frame; whether it was within the pace."""
        self._left -= 1
        return self._left >= 0

    def _passed(self) -> float:
        before, self._since = self._since, time.monotonic()
        return self._since - before
