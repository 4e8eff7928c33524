"""A small client of the JSON API over Django's test client."""

from dataclasses import dataclass
from typing import Any

import msgspec
from django.http import HttpResponse
from django.test import Client


@dataclass
class Answer:
    """What came back."""

    response: HttpResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def json(self) -> Any:
        assert self.response.headers["Content-Type"] == "application/json"
        return msgspec.json.decode(self.response.content)

    @property
    def code(self) -> str:
        """The error's code."""
        code: str = self.json["error"]["code"]
        return code


@dataclass
class ApiClient:
    """Calls with a Bearer token (none when it is empty)."""

    client: Client
    token: str = ""

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Answer:
        """``body`` is sent as JSON; ``raw`` is sent as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        data = raw if raw is not None else (b"" if body is None else msgspec.json.encode(body))
        response = self.client.generic(method, path, data, content_type=content_type, headers=sent)
        assert isinstance(response, HttpResponse)
        return Answer(response)

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, body: object = None, *, key: str | None = None) -> Answer:
        return self.call("POST", path, body, key=key)
