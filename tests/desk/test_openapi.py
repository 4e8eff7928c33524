"""The OpenAPI document says what the API does."""

from typing import Any

import pytest
from django.test import Client
from django.urls import resolve

from ctrader_app.desk.api.routes import ROUTES
from ctrader_app.desk.api.views import unknown_path


@pytest.fixture
def document() -> Any:
    response = Client().get("/api/openapi.json")
    assert response.status_code == 200
    return response.json()


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()


def test_every_mounted_call_is_described(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert described == {(f"/api/{route.path}", route.method) for route in ROUTES}
    for path, _ in described:
        here = path.format(account_id="a", position_id="1", order_id="1", operation_id="o", symbol="S", timeframe="M1")
        assert resolve(here).func is not unknown_path, here
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere(document: Any) -> None:
    found = references(document)
    assert found
    for reference in found:
        prefix, _, name = reference.rpartition("/")
        assert prefix == "#/components/schemas"
        assert name in document["components"]["schemas"]


def test_write_bodies_refuse_unknown_fields_and_take_exact_numbers(document: Any) -> None:
    place = document["components"]["schemas"]["PlaceTrade"]
    assert place["additionalProperties"] is False
    assert place["required"] == ["symbol", "direction"]
    assert place["properties"]["lot_size"]["type"] == ["number", "string"]
    call = document["paths"]["/api/accounts/{account_id}/trades"]["post"]
    assert {"200", "202", "400", "401", "404", "409", "415", "422", "429"} <= set(call["responses"])
    assert {parameter["name"] for parameter in call["parameters"]} == {"account_id", "wait", "Idempotency-Key"}
