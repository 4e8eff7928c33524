"""Everything a caller of :class:`connectors.trading_service.TradingService` may have to catch.

Reads raise :class:`ConnectionError`, :class:`AuthenticationError`, :class:`RequestRefusedError`. Writes raise a
:class:`WriteError`; which one tells the caller what is known about the money, never more than is known.
"""


class ConnectorError(Exception):
    """Base of all errors of this package. ``code`` is stable and meant for programs, ``message`` for people."""

    code = "CONNECTOR_ERROR"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class ConnectionError(ConnectorError):  # noqa: A001 - the name callers already catch
    """The platform could not be asked, or its answer could not be read. Nothing is known; nothing is assumed."""

    code = "CONNECTION_ERROR"


class AuthenticationError(ConnectorError):
    """The platform does not accept our credentials for this account: somebody has to renew them."""

    code = "AUTHENTICATION_ERROR"


class UnsupportedOperationError(ConnectorError):
    """The platform is not registered, or cannot do this."""

    code = "UNSUPPORTED_OPERATION"


class InvalidRequestError(ConnectorError, ValueError):
    """An argument is wrong. Nothing was recorded and nothing was sent."""

    code = "INVALID_REQUEST"


class RequestRefusedError(ConnectorError):
    """The platform understood a read and refused it (unknown symbol, unknown position)."""

    code = "REQUEST_REFUSED"


class TransactionOpenError(ConnectorError):
    """A ``*_sync`` write was called inside an open database transaction.

    The operation leaves with the caller's commit, so waiting for its outcome before that commit can only time
    out. Nothing was recorded. Use the ``submit_*`` twin and wait after the commit.
    """

    code = "TRANSACTION_OPEN"


class WriteError(ConnectorError):
    """A write did not (yet) succeed. ``operation_id`` names the row that holds all that is known about it."""

    code = "WRITE_ERROR"

    def __init__(self, message: str, *, operation_id: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.operation_id = operation_id


class OrderRefusedError(WriteError):
    """Positive evidence that the write had no effect: the venue refused it, or we denied it (``DENIED_*``)."""

    code = "REFUSED"


class OperationExpiredError(WriteError):
    """The deadline passed before anything was sent. It never will be."""

    code = "EXPIRED"


class OperationFailedError(WriteError):
    """It was settled by evidence, or by a person, that the write had no effect. It will not be sent again."""

    code = "FAILED"


class WaitTimeoutError(WriteError):
    """No outcome within the wait. The operation goes on; ask for it by ``operation_id``."""

    code = "WAIT_TIMEOUT"


class UnknownOutcomeError(WaitTimeoutError):
    """The write left and its outcome is not known yet. It is being settled by evidence: do NOT send it again."""

    code = "UNKNOWN_OUTCOME"


class IdempotencyKeyReusedError(WriteError):
    """The idempotency key already names an operation with other parameters. Nothing new was recorded."""

    code = "IDEMPOTENCY_KEY_REUSED"
