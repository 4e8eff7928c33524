"""Waiting for a condition with a deadline: the only way tests wait."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_INTERVAL_S = 0.015
"""Pause between two looks: short enough not to be felt, long enough to leave the processor to what is awaited."""


class WaitTimeoutError(AssertionError):
    """The condition did not come true in time; the message says which one."""


def _failure(timeout_s: float, message: str | Callable[[], str]) -> WaitTimeoutError:
    text = message() if callable(message) else message
    return WaitTimeoutError(f"not within {timeout_s:g} s: {text}")


def wait_until(
    condition: Callable[[], T],
    timeout_s: float = 10.0,
    message: str | Callable[[], str] = "the condition never came true",
) -> T:
    """Call `condition` until it returns something true, and return that.

    Raises WaitTimeoutError with `message` (a callable is asked only then) once `timeout_s` seconds are over. What
    `condition` raises is not caught. It is always tried at least once.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise _failure(timeout_s, message)
        time.sleep(POLL_INTERVAL_S)


@overload
async def wait_until_async(
    condition: Callable[[], Awaitable[T]], timeout_s: float = ..., message: str | Callable[[], str] = ...
) -> T: ...


@overload
async def wait_until_async(
    condition: Callable[[], T], timeout_s: float = ..., message: str | Callable[[], str] = ...
) -> T: ...


async def wait_until_async(
    condition: Callable[[], object],
    timeout_s: float = 10.0,
    message: str | Callable[[], str] = "the condition never came true",
) -> object:
    """As `wait_until`, without blocking the event loop; `condition` may return an awaitable."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() >= deadline:
            raise _failure(timeout_s, message)
        await asyncio.sleep(POLL_INTERVAL_S)
