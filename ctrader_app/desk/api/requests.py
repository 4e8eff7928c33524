"""Reading a request strictly: what is not understood is refused, because a typo must not change a trade."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from uuid import UUID

import msgspec
from django.contrib.auth.models import User
from django.http import HttpRequest

from connectors.trading_service import TradingService
from ctrader_app.desk.api.errors import ApiError, account_not_found, bad_request
from ctrader_app.ledger import access
from ctrader_app.models import TradingAccount

MAX_BODY_BYTES = 64 * 1024
MAX_WAIT_S = 30.0
"""The longest a request may wait for an outcome: it holds a thread, and proxies commonly give up at 60 s."""

B = TypeVar("B", bound=msgspec.Struct)


@dataclass(frozen=True)
class Call:
    """One authenticated request: who calls, the decoded path parameters and the body, if the route has one."""

    request: HttpRequest
    user: User
    path: Mapping[str, str]
    api_root: str
    body: msgspec.Struct | None = None

    def body_as(self, kind: type[B]) -> B:
        """The body, as the type that the route declares."""
        assert isinstance(self.body, kind), f"the route does not declare {kind.__name__}"
        return self.body

    def account(self) -> TradingAccount:
        """The account of the path, if it is the caller's. Raises ApiError 404 otherwise."""
        account = access.owned_account(self.user, self.path["account_id"])
        if account is None:
            raise account_not_found()
        return account

    def service(self) -> TradingService:
        """TradingService for the account of the path. Raises ApiError 404 when it is not the caller's."""
        return TradingService(self.account())

    def idempotency_key(self) -> str | None:
        """The ``Idempotency-Key`` header as the client wrote it; None without one. The platform judges it.

        Web servers hand headers over as Latin-1, whatever their bytes mean: text is UTF-8 where it can be.
        """
        key = self.request.headers.get("Idempotency-Key")
        if key is None or key.isascii():
            return key
        try:
            return key.encode("latin-1").decode()
        except UnicodeError:
            return key

    def wait_s(self) -> float:
        """``?wait=``: how many seconds to wait for the outcome, 0 without it, never more than MAX_WAIT_S."""
        text = self.request.GET.get("wait", "0")
        try:
            wait = float(text)
        except ValueError:
            wait = math.nan
        if not wait >= 0:
            raise bad_request("wait must be a number of seconds, 0 or more.")
        return min(wait, MAX_WAIT_S)

    def whole_number(self, name: str, default: int, largest: int) -> int:
        """A query parameter from 1 to ``largest``."""
        text = self.request.GET.get(name, str(default))
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(largest)) else 0
        if not 1 <= number <= largest:
            raise bad_request(f"{name} must be a whole number from 1 to {largest}.")
        return number


def parsed_uuid(text: str) -> UUID | None:
    """The id that ``text`` writes; None when it writes none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def read_body(request: HttpRequest, kind: type[B]) -> B:
    """The JSON body as ``kind``; an absent one counts as ``{}``. Raises ApiError 400, 413, 415."""
    # Judged before and apart from what was read: Django's CSRF check may have eaten a form, and an eaten body must
    # not pass for an empty one (a close without a volume closes everything).
    if request.content_type not in ("", "application/json"):
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "Send JSON with Content-Type: application/json.",
        )
    raw = _bounded_body(request).strip() or b"{}"
    if raw != b"{}" and not request.content_type:
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "Say Content-Type: application/json."
        )
    try:
        body = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise bad_request(f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"The body is not JSON: {error}.", code="NOT_JSON") from None
    json.loads(raw, object_pairs_hook=_each_once, parse_int=str, parse_float=str)
    return body


def _each_once(fields: list[tuple[str, object]]) -> None:
    # The decoder takes the last of two lot_size; whoever checked the order before it may have read the first.
    names = [name for name, _ in fields]
    for name in names:
        if names.count(name) > 1:
            raise bad_request(f"The field {name} is given twice.")


def _bounded_body(request: HttpRequest) -> bytes:
    length = request.headers.get("Content-Length", "")
    too_large = length.isdigit() and int(length) > MAX_BODY_BYTES
    # One byte more than is allowed: a chunked request does not say how long it is.
    raw = b"" if too_large else request.read(MAX_BODY_BYTES + 1)
    if too_large or len(raw) > MAX_BODY_BYTES:
        raise ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", f"A body has at most {MAX_BODY_BYTES} bytes."
        )
    return raw
