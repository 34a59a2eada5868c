"""Runs a simulation in one process or several, until it is over or a signal comes."""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, MutableMapping, Sequence
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.managers import SyncManager

from dispatch.simulation.codes import Codes
from dispatch.simulation.report import Tally, total
from dispatch.simulation.town import Publish, Share, Town

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Tallies = MutableMapping[int, Tally]
# Called about every second with the sum so far.
Show = Callable[[Tally], None]


def run(shares: Sequence[Share], show: Show) -> Tally:
    """Live through all shares; returns the sum of what happened.

    The first share lives here, the others in processes of their own, which know nothing of
    Django. SIGINT and SIGTERM end all of them early.
    """
    if len(shares) == 1:
        alone: Tallies = {}
        return _run_first(shares, {}, alone, show)
    context = multiprocessing.get_context("spawn")
    with _Memory(ctx=context) as memory:
        codes: Codes = memory.dict()
        tallies: Tallies = memory.dict()
        children = _start(context, shares, codes, tallies)
        try:
            _run_first(shares, codes, tallies, show)
            for child in children:
                child.join()
        finally:
            for child in children:
                child.terminate()
        whole = total(tallies.values())
    for child in children:
        if child.exitcode:
            whole.fault(f"a process ended with exit code {child.exitcode}")
    return whole


def _start(
    context: SpawnContext, shares: Sequence[Share], codes: Codes, tallies: Tallies
) -> list[SpawnProcess]:
    children = [
        context.Process(target=_run, args=(shares, number, codes, tallies), daemon=True)
        for number in range(1, len(shares))
    ]
    for child in children:
        child.start()
    return children


def _run_first(shares: Sequence[Share], codes: Codes, tallies: Tallies, show: Show) -> Tally:
    def publish(tally: Tally) -> bool:
        tallies[0] = tally
        show(total(tallies.values()))
        return _are_over(shares, tallies)

    asyncio.run(_live(shares[0], codes, publish))
    return total(tallies.values())


def _run(shares: Sequence[Share], number: int, codes: Codes, tallies: Tallies) -> None:
    """A child's life. It ends with an error when the memory is gone, and so with its parent."""

    def publish(tally: Tally) -> bool:
        tallies[number] = tally
        return _are_over(shares, tallies)

    asyncio.run(_live(shares[number], codes, publish))


def _are_over(shares: Sequence[Share], tallies: Tallies) -> bool:
    told = tallies.values()
    return len(told) == len(shares) and all(tally.is_over for tally in told)


async def _live(share: Share, codes: Codes, publish: Publish) -> None:
    stop = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Town(share, codes, stop).live(publish)


class _Memory(SyncManager):
    """What the processes share; it outlives the signals that end them."""

    def __enter__(self) -> "_Memory":
        self.start(initializer=_ignore_signals)
        return self


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
