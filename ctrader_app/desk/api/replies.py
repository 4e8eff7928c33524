"""What a handler gives back, and how it becomes an HTTP response."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
from django.http import HttpResponse

from ctrader_app.desk.api.errors import ApiError


@dataclass(frozen=True)
class Reply:
    """``value`` is anything that msgspec encodes: dicts, lists, dataclasses, Structs."""

    value: object
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def response_of(reply: Reply) -> HttpResponse:
    """Never cached: figures and outcomes are true for a moment."""
    headers = {"Cache-Control": "no-store", **reply.headers}
    return HttpResponse(
        msgspec.json.encode(reply.value), status=reply.status, headers=headers, content_type="application/json"
    )


def response_of_error(error: ApiError) -> HttpResponse:
    """The error as its JSON body."""
    return response_of(Reply(error.body(), error.status, error.headers))
