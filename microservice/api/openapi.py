"""The OpenAPI document, from the same table that mounts the endpoints."""

from typing import Any

import msgspec

from microservice.api.errors import ErrorAnswer
from microservice.api.routes import RouteSpec

Json = dict[str, Any]  # JSON has no narrower type
_REF = "#/components/schemas/{name}"


def document(routes: list[RouteSpec], prefix: str) -> bytes:
    """Return the document as JSON."""
    used: list[type[msgspec.Struct]] = [ErrorAnswer, *(r.request for r in routes), *(r.response for r in routes)]
    structs = list(dict.fromkeys(used))
    references, components = msgspec.json.schema_components(structs, ref_template=_REF)
    reference_of: dict[type[msgspec.Struct], Json] = dict(zip(structs, references, strict=True))
    paths: dict[str, Json] = {}
    for route in routes:
        operation = _operation(route, reference_of, components)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "cTrader microservice",
            "version": "1",
            "description": "Volumes are lots, prices plain decimals, times ISO-8601 UTC unless a name says otherwise.",
        },
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {
            "schemas": _numbers(components),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }
    return msgspec.json.encode(described)


def _operation(route: RouteSpec, references: dict[type[msgspec.Struct], Json], components: Json) -> Json:
    answers: Json = {
        "200": {"description": "Done", "content": _content(references[route.response])},
        "default": {"description": "Not done", "content": _content(references[ErrorAnswer])},
    }
    operation: Json = {"summary": route.summary, "operationId": _operation_id(route), "responses": answers}
    parameters: list[Json] = [_header("X-Request-ID", required=False)]
    if route.is_write:
        parameters.append(_header("Idempotency-Key", required=True))
    schema = components[route.request.__name__]
    if route.method == "POST":
        operation["requestBody"] = {"required": True, "content": _content(references[route.request])}
    else:
        required = set(schema.get("required", []))
        parameters.extend(
            {"name": name, "in": "query", "required": name in required, "schema": field}
            for name, field in schema.get("properties", {}).items()
        )
    operation["parameters"] = parameters
    if route.public:
        operation["security"] = []
    return operation


def _operation_id(route: RouteSpec) -> str:
    words = route.path.strip("/").replace("/", "_").replace("-", "_")
    return f"{route.method.lower()}_{words.strip('_')}"


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _header(name: str, *, required: bool) -> Json:
    return {"name": name, "in": "header", "required": required, "schema": {"type": "string"}}


def _numbers(node: Any) -> Any:
    """Say number where a decimal is meant: on this wire decimals are JSON numbers."""
    if isinstance(node, dict):
        if node.get("type") == "string" and node.get("format") == "decimal":
            return {**node, "type": "number", "format": "decimal"}
        return {name: _numbers(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_numbers(value) for value in node]
    return node
