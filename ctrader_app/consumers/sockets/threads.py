"""Blocking work for sockets: database and HTTP, each in threads of their own.

asgiref's thread-sensitive executor is one thread for the whole process; an HTTP call that waits for its timeout there
would hold up every database access of every socket. For the same reason the two kinds do not share threads here.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

_database = ThreadPoolExecutor(4, thread_name_prefix="ctrader-sockets-db")
_http = ThreadPoolExecutor(8, thread_name_prefix="ctrader-sockets-http")


async def in_database_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of ``call``, which uses the database alone, or what it raises."""
    return await _run(_database, call, *args, **kwargs)


async def in_http_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of ``call``, which asks a service, or what it raises. Once begun it goes on when we are cancelled."""
    return await _run(_http, call, *args, **kwargs)


async def _run(pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    def run() -> T:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(pool, run)
