"""The handle of a recorded write, and the typed errors for what did not succeed."""

import asyncio
import concurrent.futures
import time
import uuid
from typing import cast

from django.db import connection, connections

from connectors.base import Mt5Dict
from connectors.errors import (
    OperationExpiredError,
    OperationFailedError,
    OrderRefusedError,
    TransactionOpenError,
    UnknownOutcomeError,
    WaitTimeoutError,
    WriteError,
)
from ctrader_app.conf import get_settings
from ctrader_app.domain.operations import FINAL, State
from ctrader_app.ledger import operations as ledger
from ctrader_app.ledger.operations import Standing
from ctrader_app.models import Operation
from ctrader_app.platform.drive import drive, has_no_worker, in_task
from ctrader_app.platform.loops import outside_loop
from ctrader_app.platform.watcher import watcher

_ERRORS: dict[State, type[WriteError]] = {
    State.REFUSED: OrderRefusedError,
    State.EXPIRED: OperationExpiredError,
    State.FAILED: OperationFailedError,
}


def assert_can_wait() -> None:
    """Raise TransactionOpenError inside an open transaction: what leaves with its commit cannot be waited for."""
    if connection.in_atomic_block:
        raise TransactionOpenError(
            "inside a database transaction a write leaves only with the commit: use submit_* and wait afterwards"
        )


class CTraderHandle:
    """An :class:`connectors.base.OperationHandle` over a row of the ledger."""

    def __init__(self, operation: Operation) -> None:
        self._id: uuid.UUID = operation.pk

    @property
    def operation_id(self) -> str:
        """The row's id."""
        return str(self._id)

    @property
    def state(self) -> str:
        """The row's state, read now."""
        return outside_loop(self._read).state.value

    @property
    def result(self) -> Mt5Dict | None:
        """The MT5-shaped result once succeeded."""
        return outside_loop(self._read).result

    def _read(self) -> Standing:
        return ledger.standing(self._id)

    def wait(self, timeout: float | None = None) -> Mt5Dict:
        """The result, or the typed error that tells what is known. Blocks for ``timeout`` seconds at most."""
        assert_can_wait()
        deadline = time.monotonic() + _seconds(timeout)
        if in_task() or has_no_worker():
            drive(self._id, deadline)
            return _outcome(self._read())
        future = watcher().watch(self._id)
        standing = self._read()
        try:
            if standing.state not in FINAL:
                standing = future.result(max(0.0, deadline - time.monotonic()))
        except concurrent.futures.TimeoutError:
            standing = self._read()
        finally:
            watcher().forget(self._id, future)
        return _outcome(standing)

    async def wait_async(self, timeout: float | None = None) -> Mt5Dict:
        """:meth:`wait` without holding a thread or the event loop."""
        if in_task() or has_no_worker():
            return await asyncio.to_thread(self._carry_through, timeout)
        future = watcher().watch(self._id)
        try:
            standing = await asyncio.to_thread(self._read_and_release)
            if standing.state not in FINAL:
                standing = await asyncio.wait_for(asyncio.wrap_future(future), _seconds(timeout))
        except TimeoutError:
            standing = await asyncio.to_thread(self._read_and_release)
        finally:
            watcher().forget(self._id, future)
        return _outcome(standing)

    def _carry_through(self, timeout: float | None) -> Mt5Dict:
        try:
            drive(self._id, time.monotonic() + _seconds(timeout))
            return _outcome(self._read())
        finally:
            connections.close_all()

    def _read_and_release(self) -> Standing:
        try:
            return self._read()
        finally:
            connections.close_all()


def _seconds(timeout: float | None) -> float:
    return get_settings().write_wait_s if timeout is None else max(0.0, timeout)


def _outcome(standing: Standing) -> Mt5Dict:
    state, operation_id = standing.state, str(standing.operation_id)
    if state is State.SUCCEEDED:
        return cast("Mt5Dict", standing.result)
    if state in _ERRORS:
        message = f"{standing.error_code}: {standing.error_message}"
        raise _ERRORS[state](message, operation_id=operation_id, code=standing.error_code)
    if state is State.IN_DOUBT:
        raise UnknownOutcomeError(
            f"operation {operation_id} left and its outcome is not known yet; it is being settled, do not repeat it",
            operation_id=operation_id,
        )
    raise WaitTimeoutError(
        f"operation {operation_id} is {state.value}: no outcome within the wait; it goes on, do not repeat it",
        operation_id=operation_id,
    )
