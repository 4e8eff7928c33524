"""Pointing Django, in the test's own process, at another database for a while."""

import contextlib
from collections.abc import Iterator

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections

from config.database import database_of
from ctrader_app.platform.watcher import end_watcher


@contextlib.contextmanager
def django_on(url: str) -> Iterator[None]:
    """Every connection opened within the block, in whatever thread, goes to the database of this URL.

    The connection this thread had before is put aside untouched, with the transaction it may be in, and comes back
    afterwards.
    """
    settings = connections.settings
    before = settings[DEFAULT_DB_ALIAS]
    put_aside = connections[DEFAULT_DB_ALIAS]
    wanted = database_of(url)
    if wanted["ENGINE"] == before["ENGINE"]:
        # What the test settings add for this engine holds here too.
        wanted["OPTIONS"] = before["OPTIONS"]
    settings[DEFAULT_DB_ALIAS] = connections.configure_settings({DEFAULT_DB_ALIAS: wanted})[DEFAULT_DB_ALIAS]
    del connections[DEFAULT_DB_ALIAS]
    end_watcher()
    try:
        yield
    finally:
        end_watcher()
        connections[DEFAULT_DB_ALIAS].close()
        settings[DEFAULT_DB_ALIAS] = before
        connections[DEFAULT_DB_ALIAS] = put_aside


def migrate(url: str) -> None:
    """Run every migration of the project on this database, without a word."""
    with django_on(url):
        call_command("migrate", verbosity=0, interactive=False)
