"""Django, set up for measuring in this process: import it before anything that needs the app registry."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
os.environ.setdefault("DJANGO_LOG_LEVEL", "WARNING")
django.setup(set_prefix=False)
