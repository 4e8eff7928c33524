"""``DATABASE_URL`` as Django's settings of one database."""

from typing import Any

import dj_database_url

PREPARED_AFTER = 5
"""Executions on one connection after which PostgreSQL keeps a statement's plan (psycopg's own default)."""


def database_of(url: str, *, prepared: bool = True) -> dict[str, Any]:
    """The settings of the database at ``url``. Raises ValueError or KeyError when it is malformed.

    ``prepared``: PostgreSQL parses and plans the statements that recur once for each connection. Behind a pooler that
    hands one connection to several clients (PgBouncer in transaction mode) it must be off.
    """
    database: dict[str, Any] = {**dj_database_url.parse(url), "CONN_HEALTH_CHECKS": True}
    if database["ENGINE"].endswith("sqlite3"):
        # Deferred transactions fail when two of them turn from reading to writing; immediate ones queue up.
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;",
        }
    elif prepared and database["ENGINE"].endswith("postgresql"):
        # Without server-side binding the values are part of the text, and no two statements are the same.
        options = database.setdefault("OPTIONS", {})
        database["OPTIONS"] = {"server_side_binding": True, "prepare_threshold": PREPARED_AFTER, **options}
    return database
