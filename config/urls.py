"""The site's addresses: the desk and its API at the root, the admin beside them."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("ctrader_app.desk.urls")),
]
