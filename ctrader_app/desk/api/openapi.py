"""The OpenAPI 3.1 document, built from the route table and the types that decode and encode."""

import re
from functools import lru_cache
from typing import Any

import msgspec

from ctrader_app.desk.api import schemas
from ctrader_app.desk.api.routes import ROUTES, Route

_REFUSALS = {
    400: "The request is wrong. Nothing was recorded, nothing was sent.",
    401: "Neither a session nor a valid API token.",
    403: "The session's CSRF token is missing or wrong.",
    404: "Not there, or not yours.",
    409: "The idempotency key names another intent. Nothing was recorded.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The platform refused it.",
    429: "Too many writes; see Retry-After.",
    501: "The account's platform cannot do this.",
    502: "The platform could not be asked, or does not accept our credentials. Nothing is known.",
    504: "The platform did not answer in time. Nothing is known.",
}
_ANSWERS = {
    200: "Done.",
    202: "Recorded; not final yet.",
    422: "Recorded, and refused, expired or failed: `error` says why.",
}
_FOR_READS = (401, 404, 422, 501, 502, 504)
_FOR_WRITES = (400, 401, 403, 404, 409, 413, 415, 429, 501)


@lru_cache(maxsize=8)
def document(root: str) -> dict[str, Any]:
    """The document of the API mounted at ``root`` (a path that ends with a slash)."""
    types: list[Any] = [schemas.ErrorBody]
    for route in ROUTES:
        types += [*route.answers.values(), *([route.body] if route.body else [])]
    found, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    # Keyed by the text of the type: list[...] types are equal but not the same object.
    schema_of = {str(kind): schema for kind, schema in zip(types, found, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(f"{root}{route.path}", {})[route.method.lower()] = _operation(route, schema_of)
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "django-ctrader",
            "version": "1",
            "description": "TradingService over HTTP. Volumes are lots, money is in the account's currency, costs are "
            "negative. Sign in with the site's session (and its CSRF token) or with `Authorization: Bearer <token>`.",
        },
        "paths": paths,
        "security": [{"token": []}, {"session": []}],
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
            },
        },
    }
    exact: dict[str, Any] = _with_exact_numbers(whole)
    return exact


def _operation(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route, schema_of),
    }
    if route.body is not None:
        described["requestBody"] = {
            "required": bool(msgspec.structs.fields(route.body)[0].required),
            "content": _json(schema_of[str(route.body)]),
        }
    return described


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    found += [
        {"name": query.name, "in": "query", "description": query.description, "schema": dict(query.schema)}
        for query in route.queries
    ]
    if route.takes_key:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Names the intent: sent again with the same parameters, the same operation answers.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
        )
    return found


def _responses(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    error = _json(schema_of[str(schemas.ErrorBody)])
    refusals = _FOR_READS if route.method == "GET" else _FOR_WRITES
    responses = {str(status): {"description": _REFUSALS[status], "content": error} for status in refusals}
    for status, kind in route.answers.items():
        responses[str(status)] = {"description": _ANSWERS[status], "content": _json(schema_of[str(kind)])}
    return dict(sorted(responses.items()))


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _with_exact_numbers(node: Any) -> Any:
    """msgspec describes a Decimal as text only, though it reads JSON numbers too, and as exactly."""
    if isinstance(node, dict):
        if node.get("format") == "decimal":
            return {**node, "type": ["number", "string"]}
        return {key: _with_exact_numbers(value) for key, value in node.items()}
    return [_with_exact_numbers(value) for value in node] if isinstance(node, list) else node
