"""From the table to Django: one view a path, which answers everything in JSON."""

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, re_path, reverse
from django.views.decorators.csrf import csrf_exempt

from connectors.errors import ConnectorError
from ctrader_app.desk.api.entry import SAFE_METHODS, caller_of
from ctrader_app.desk.api.errors import ApiError, error_of
from ctrader_app.desk.api.openapi import document
from ctrader_app.desk.api.replies import Reply, response_of, response_of_error
from ctrader_app.desk.api.requests import Call, read_body
from ctrader_app.desk.api.routes import ROUTES, Route
from ctrader_app.desk.api.throttle import check_write

logger = logging.getLogger(__name__)

Endpoint = Callable[..., HttpResponse]


def url_patterns() -> list[URLPattern]:
    """All of the API, to be mounted under ``api/``; the last pattern makes unknown paths answer in JSON too."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    mounted = [
        path(_django_path(where), _endpoint(methods), name="-".join(route.name for route in methods.values()))
        for where, methods in by_path.items()
    ]
    return [
        path("", unknown_path, name="api-root"),
        path("openapi.json", openapi, name="openapi"),
        *mounted,
        re_path("^", unknown_path),  # not ".*": a line feed in the path is a path too
    ]


def openapi(_request: HttpRequest) -> HttpResponse:
    """The OpenAPI document; public, as it says nothing about anybody."""
    return response_of(Reply(document(_api_root())))


@csrf_exempt
def unknown_path(_request: HttpRequest, **_path: str) -> HttpResponse:
    """404 in JSON."""
    return response_of_error(ApiError(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The API has no such path."))


def _api_root() -> str:
    return reverse("desk:api-root")


def _django_path(where: str) -> str:
    # Only symbols hold slashes (BTC/USD, sent as BTC%2FUSD and decoded by the server before Django sees it).
    return re.sub(r"\{(\w+)\}", lambda m: f"<{'path' if m[1] == 'symbol' else 'str'}:{m[1]}>", where)


def _endpoint(methods: Mapping[str, Route]) -> Endpoint:
    # An operation leaves when its transaction commits: under ATOMIC_REQUESTS, waiting for its outcome would never end.
    @csrf_exempt
    @transaction.non_atomic_requests
    def endpoint(request: HttpRequest, **parameters: str) -> HttpResponse:
        try:
            return response_of(_answer(request, methods, parameters))
        except ApiError as error:
            return response_of_error(error)
        except ConnectorError as error:
            return response_of_error(error_of(error))
        except Exception:  # the edge of the process: a program asked in JSON and is answered in JSON
            logger.exception("%s %s failed", request.method, request.path)
            return response_of_error(
                ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Something went wrong here; it is logged.")
            )

    return endpoint


def _answer(request: HttpRequest, methods: Mapping[str, Route], parameters: Mapping[str, str]) -> Reply:
    method = "GET" if request.method == "HEAD" else str(request.method)
    route = methods.get(method)
    if route is None:
        raise ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            f"{request.method} is not possible here.",
            headers={"Allow": ", ".join(sorted(methods))},
        )
    user = caller_of(request)
    if method not in SAFE_METHODS:
        check_write(user.pk)
    body = None if route.body is None else read_body(request, route.body)
    return route.handler(Call(request=request, user=user, path=parameters, api_root=_api_root(), body=body))
