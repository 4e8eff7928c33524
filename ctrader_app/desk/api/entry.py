"""Who is calling the API: a Bearer token, or the browser's session with its CSRF token."""

from http import HTTPStatus

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from ctrader_app.desk.api.errors import ApiError
from ctrader_app.ledger import access

SAFE_METHODS = frozenset({"GET", "HEAD"})


def caller_of(request: HttpRequest) -> User:
    """The calling user.

    A request with an ``Authorization`` header is judged by that header alone and needs no CSRF token: a browser
    never adds one by itself. Without it the session decides, and then every unsafe method must carry the CSRF token.
    Raises ApiError 401 or 403.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        return _token_user(header)
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        raise _unauthenticated("Sign in, or send an API token as Authorization: Bearer <token>.")
    if request.method not in SAFE_METHODS:
        _check_csrf(request)
    return user


def _token_user(header: str) -> User:
    scheme, _, token = header.partition(" ")
    user = access.user_of_token(token.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        raise _unauthenticated("The API token is unknown or was revoked.")
    return user


def _unauthenticated(message: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, as a question. The API's views are exempt from the middleware because of the tokens."""

    def _reject(self, _request: HttpRequest, reason: str) -> HttpResponse:
        raise ApiError(HTTPStatus.FORBIDDEN, "CSRF_FAILED", f"CSRF check failed: {reason}")


def _never(_request: HttpRequest) -> HttpResponse:
    raise AssertionError("only the check is used, never the chain")


def _check_csrf(request: HttpRequest) -> None:
    check = _CsrfCheck(_never)
    check.process_request(request)
    check.process_view(request, _never, (), {})
