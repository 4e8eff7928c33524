"""Calls from where an event loop runs, an async view say: Django forbids the database there."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, connections

T = TypeVar("T")


def outside_loop(call: Callable[[], T]) -> T:
    """``call()``; where an event loop runs, in a thread of its own, for which the loop waits: it must be short.

    With a transaction open it stays in this thread: what it records belongs to that transaction.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    if connection.in_atomic_block:
        return call()

    def run() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1, thread_name_prefix="ctrader-call") as thread:
        return thread.submit(run).result()
