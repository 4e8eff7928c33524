"""Django, set up for measuring in this process: import it before anything that needs the app registry."""

import logging
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup(set_prefix=False)
# A line for each of a peer's requests would be part of what is measured.
logging.getLogger().setLevel(logging.WARNING)
