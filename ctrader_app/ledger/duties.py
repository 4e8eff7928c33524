"""Who does a job that one process at a time does: a claim that has to be renewed, and passes on when it is not."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from ctrader_app.ledger import clock
from ctrader_app.models import Duty


def take(name: str, holder: str, ttl_s: float) -> bool:
    """Take the duty, or keep it, for ``ttl_s`` seconds; False while another holder has it. One statement."""
    quote = connection.ops.quote_name
    table, columns = quote(Duty._meta.db_table), [quote(column) for column in ("name", "holder", "until")]
    _, held_by, until = columns
    now = clock.now()
    # Names come from the model, values are parameters.
    statement = (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES (%s, %s, %s) ON CONFLICT (name) "  # noqa: S608
        f"DO UPDATE SET {held_by} = EXCLUDED.{held_by}, {until} = EXCLUDED.{until} "
        f"WHERE {table}.{held_by} = EXCLUDED.{held_by} OR {table}.{until} <= %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [name, holder, _stored(now + timedelta(seconds=ttl_s)), _stored(now)])
        return int(cursor.rowcount) == 1


def leave(name: str, holder: str) -> None:
    """Give the duty up, if it is ours: somebody else takes it at once."""
    Duty.objects.filter(name=name, holder=holder).delete()


def _stored(moment: datetime) -> Any:
    return Duty._meta.get_field("until").get_db_prep_save(moment, connection)
