"""Errors of the front, all of one shape: ``{"error": {"code", "message", "details"?}}``."""

import msgspec

from microservice.events import ENCODER
from microservice.venue.base import Refusal


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not carried out."""

    code: str
    message: str
    details: dict[str, str] | None = None


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every answer that is no success."""

    error: ErrorBody


class ApiError(Exception):
    """The front itself says no, before the venue is asked. These verdicts are never recorded."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def bad_request(message: str, code: str = "INVALID_REQUEST") -> ApiError:
    """Build the error for a malformed request."""
    return ApiError(400, code, message)


def error_bytes(code: str, message: str, details: dict[str, str] | None = None) -> bytes:
    """Encode an error answer."""
    return ENCODER.encode(ErrorAnswer(ErrorBody(code, message, details)))


def refusal_bytes(refusal: Refusal) -> bytes:
    """Encode a refusal of the venue."""
    return error_bytes(refusal.code, refusal.message, refusal.details)
