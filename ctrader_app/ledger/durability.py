"""What the ledger has committed outlives the database server.

A write is claimed in one commit before a byte of it leaves. A server that confirms commits before they are on disk
(PostgreSQL's ``synchronous_commit = off``, a common setting for speed) forgets the last half second when it crashes: a
claim, and the order would be sent again; an outcome, and it would be asked for again. SQLite, as Django opens it,
writes before it confirms.
"""

from typing import Any

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ctrader_app.models import Operation

_INSIST = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
"""For the session. What asks for more than the server's own disk (a standby's) or is on already stays as it is."""


def insist(connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    """Make a new connection to the ledger's database wait for its commits."""
    if connection.vendor == "postgresql" and connection.alias == router.db_for_write(Operation):
        with connection.cursor() as cursor:
            cursor.execute(_INSIST)


def install() -> None:
    """Insist on every connection that this process opens from now on."""
    connection_created.connect(insist, dispatch_uid="ctrader-durability")
