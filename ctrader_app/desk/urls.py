"""The desk's addresses. Include them at the site's root: ``path("", include("ctrader_app.desk.urls"))``."""

from django.urls import include, path

from ctrader_app.desk import health, metrics, pages
from ctrader_app.desk.api.views import url_patterns

app_name = "desk"

urlpatterns = [
    path("", pages.desk, name="home"),
    path("login/", pages.login, name="login"),
    path("logout/", pages.logout, name="logout"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("api/", include(url_patterns())),
]
