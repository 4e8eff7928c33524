"""How every error looks over HTTP: ``{"error": {"code", "message", "details"?}}`` and a status that tells the kind.

The rule a client can rely on: 400 means that nothing was recorded and nothing was sent; 422 comes with the operation
that was recorded and what became of it; 502 and 504 mean that nothing is known, never that there is nothing.
"""

from http import HTTPStatus

from connectors.errors import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - the name callers already catch
    ConnectorError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    RequestRefusedError,
    UnsupportedOperationError,
    WriteError,
)


class ApiError(Exception):
    """An answer other than success. ``details`` are JSON values."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        details: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = headers or {}

    def body(self) -> dict[str, object]:
        """The JSON body."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = self.details
        return {"error": error}


def bad_request(message: str, code: str = InvalidRequestError.code) -> ApiError:
    """The request itself is wrong."""
    return ApiError(HTTPStatus.BAD_REQUEST, code, message)


def account_not_found() -> ApiError:
    """One answer for an account that is someone else's, unknown or malformed: it must not tell which."""
    return ApiError(HTTPStatus.NOT_FOUND, "ACCOUNT_NOT_FOUND", "You have no account of that id.")


def operation_not_found() -> ApiError:
    """The same for operations."""
    return ApiError(HTTPStatus.NOT_FOUND, "OPERATION_NOT_FOUND", "You have no operation of that id.")


_STATUS: tuple[tuple[type[ConnectorError], HTTPStatus], ...] = (
    (InvalidRequestError, HTTPStatus.BAD_REQUEST),
    (IdempotencyKeyReusedError, HTTPStatus.CONFLICT),
    (WriteError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (AuthenticationError, HTTPStatus.BAD_GATEWAY),
    (ConnectionError, HTTPStatus.BAD_GATEWAY),
    (RequestRefusedError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnsupportedOperationError, HTTPStatus.NOT_IMPLEMENTED),
    (ConnectorError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""First match wins; the last row catches every ConnectorError."""


def error_of(error: ConnectorError) -> ApiError:
    """The answer for an error of TradingService."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if isinstance(error, RequestRefusedError) and _means_unknown(error.code):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(error, ConnectionError) and "TIMEOUT" in error.code:
        status = HTTPStatus.GATEWAY_TIMEOUT
    details: dict[str, object] | None = None
    if isinstance(error, WriteError) and error.operation_id:
        details = {"operation_id": error.operation_id}
    return ApiError(status, error.code, error.message, details=details)


def _means_unknown(code: str) -> bool:
    return code.endswith("NOT_FOUND") or code.startswith("UNKNOWN_") or code == "HTTP_404"
