"""The pages: the desk, and the way in and out. They hold no data; the desk's scripts ask the API and the sockets."""

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

DEFAULT_SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "US500.cash", "BTCUSD")
"""Offered in the symbol box, where any other can be typed; ``CTRADER_DESK_SYMBOLS`` replaces them."""

TIMEFRAMES = ("M1", "M5", "M15", "M30", "H1", "H4", "D1")
FIRST_TIMEFRAME = "M1"

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Nothing inline and nothing from elsewhere: an injected string cannot run. ``data:`` images are the icon."""

Page = Callable[[HttpRequest], HttpResponseBase]


def strict(view: Callable[..., HttpResponseBase]) -> Page:
    """The page with its Content-Security-Policy."""

    @wraps(view)
    def page(request: HttpRequest) -> HttpResponseBase:
        response = view(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return page


@require_GET
@never_cache
@login_required(login_url=reverse_lazy("desk:login"))
@ensure_csrf_cookie
def _desk(request: HttpRequest) -> HttpResponse:
    symbols = tuple(getattr(settings, "CTRADER_DESK_SYMBOLS", DEFAULT_SYMBOLS))
    return render(
        request,
        "desk/desk.html",
        {
            "api_root": reverse("desk:api-root"),
            "symbols": symbols,
            "first_symbol": symbols[0],
            "timeframes": TIMEFRAMES,
            "first_timeframe": FIRST_TIMEFRAME,
        },
    )


desk = strict(_desk)
login = strict(
    auth_views.LoginView.as_view(
        template_name="desk/login.html", redirect_authenticated_user=True, next_page=reverse_lazy("desk:home")
    )
)
logout = strict(auth_views.LogoutView.as_view(next_page=reverse_lazy("desk:login")))
