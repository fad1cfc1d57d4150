"""How long is waited between attempts."""

import asyncio
import random

import pytest

from consensus import retries
from consensus.retries import wait_before_retry


@pytest.fixture
def waits(monkeypatch):
    """Return the seconds that would have been waited, without waiting them."""
    told: list[float] = []

    async def wait_for(waiting, seconds):
        waiting.close()
        told.append(seconds)
        raise TimeoutError

    monkeypatch.setattr(retries.asyncio, "wait_for", wait_for)
    return told


async def test_pauses_double_up_to_a_cap(waits, monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    for attempt in (0, 1, 2, 5, 6, 1_000_000):
        await wait_before_retry(asyncio.Event(), attempt)
    assert waits == [0.05, 0.1, 0.2, 1.6, 2.0, 2.0]


async def test_pauses_are_spread_between_half_and_the_whole(waits):
    for _ in range(200):
        await wait_before_retry(asyncio.Event(), 100)
    assert 1.0 <= min(waits) < 1.1
    assert 1.9 < max(waits) <= 2.0


@pytest.mark.parametrize("attempt", range(12))
async def test_no_pause_is_outside_its_bounds(waits, monkeypatch, attempt):
    most = min(0.05 * 2**attempt, 2.0)
    drawn: list[tuple[float, float]] = []

    def lowest(low, high):
        drawn.append((low, high))
        return low

    with monkeypatch.context() as patch:
        patch.setattr(random, "uniform", lowest)
        await wait_before_retry(asyncio.Event(), attempt)
    assert drawn == [(0.5, 1.0)]
    assert waits == [most / 2]
    for _ in range(50):
        await wait_before_retry(asyncio.Event(), attempt)
    assert all(most / 2 <= seconds <= most for seconds in waits)


async def test_a_stop_cuts_the_pause_short():
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(1):
        await wait_before_retry(stop, 100)
