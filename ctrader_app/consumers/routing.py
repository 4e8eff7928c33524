"""The sockets' addresses. Symbols may be percent-encoded, and may hold a slash once decoded."""

from typing import Any

from django.urls import URLPattern, re_path

from ctrader_app.consumers.sockets.account import AccountSocket
from ctrader_app.consumers.sockets.base import Socket, UnknownSocket
from ctrader_app.consumers.sockets.prices import PriceSocket


def _route(pattern: str, kind: type[Socket]) -> URLPattern:
    application: Any = kind.as_asgi()  # an ASGI application stands where Django's types expect a view
    route: URLPattern = re_path(pattern, application)
    return route


websocket_urlpatterns = [
    _route(r"^ws/prices/(?P<account_id>[^/]+)/(?P<symbol>.+?)/?$", PriceSocket),
    _route(r"^ws/accounts/(?P<account_id>[^/]+)/?$", AccountSocket),
    _route(r"", UnknownSocket),
]
