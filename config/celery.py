"""The Celery application. Its settings are in ``celeryconfig`` at the root."""

import os

from celery import Celery

from config import worker_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("django-ctrader")
app.config_from_object("celeryconfig")
# The current app is thread-local: without this, threads that publish or work would find an empty default one.
app.set_default()
worker_database.install()
