"""Waiting for the log without holding a thread: `coordinator/ledger/notifier.py`."""

import asyncio
import threading
import time

import pytest

from coordinator.ledger.notifier import Notifier
from crypto.errors import DoudiError

LONG_S = 60.0


def test_a_thread_wakes_everybody_who_waits():
    notifier = Notifier(10)

    async def wait(name):
        with notifier.watch(name) as watch:
            await watch.changed(LONG_S)

    async def all_wait():
        tasks = [asyncio.create_task(wait(f"node:{number}")) for number in range(5)]
        while notifier.waiting < 5:
            await asyncio.sleep(0)
        threading.Thread(target=notifier.notify).start()
        await asyncio.gather(*tasks)

    started = time.monotonic()
    asyncio.run(all_wait())
    assert time.monotonic() - started < LONG_S / 2
    assert notifier.waiting == 0


def test_what_changes_before_the_wait_is_not_missed():
    notifier = Notifier(10)

    async def look_then_wait():
        with notifier.watch("node:tax") as watch:
            notifier.notify()
            await watch.changed(LONG_S)
            # Woken once for one change.
            started = time.monotonic()
            await watch.changed(0.05)
            return time.monotonic() - started

    assert asyncio.run(look_then_wait()) >= 0.05


def test_nobody_waits_longer_than_asked():
    async def wait():
        with Notifier(1).watch("node:tax") as watch:
            await watch.changed(0.01)

    asyncio.run(wait())


def test_one_principal_and_all_together_are_bounded():
    async def fill():
        notifier = Notifier(3, most_of_one=2)
        with notifier.watch("a"), notifier.watch("a"):
            with pytest.raises(DoudiError, match=r"ledger\.too_many_waiting"), notifier.watch("a"):
                pass
            with notifier.watch("b"), pytest.raises(DoudiError, match=r"ledger\.too_many"), notifier.watch("c"):
                pass
        # Places are given back.
        with notifier.watch("a"), notifier.watch("a"):
            assert notifier.waiting == 2

    asyncio.run(fill())


def test_closing_wakes_and_says_so():
    notifier = Notifier(3)

    async def wait():
        with notifier.watch("a") as watch:
            threading.Thread(target=notifier.close).start()
            await watch.changed(LONG_S)
        return notifier.closed

    assert asyncio.run(wait())


def test_a_loop_that_has_ended_does_not_disturb():
    notifier = Notifier(3)
    kept = []

    async def leave_open():
        context = notifier.watch("a")
        context.__enter__()
        kept.append(context)

    asyncio.run(leave_open())
    notifier.notify()
    assert notifier.waiting == 1
