"""Writing many rows with one statement, however many they are."""

from collections.abc import Collection, Sequence

from django.db import connection, models


def upsert(
    model: type[models.Model], rows: Sequence[models.Model], *, unique: Collection[str], update: Collection[str] = ()
) -> None:
    """Insert ``rows``; where ``unique`` (field names) is taken, overwrite ``update``, or leave the row if empty.

    ``bulk_create`` does the same in chunks of 999 parameters on SQLite, which is a statement for every 43 positions;
    this is one statement, prepared once, on SQLite and on PostgreSQL. Primary keys are not filled in.
    """
    if not rows:
        return
    quote = connection.ops.quote_name
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = {field.name: quote(str(field.column)) for field in fields}
    taken = ", ".join(columns[name] for name in unique)
    changes = ", ".join(f"{columns[name]} = EXCLUDED.{columns[name]}" for name in update)
    # Names come from the model, values are parameters: nothing of what a venue says becomes SQL.
    statement = (
        f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(columns.values())}) "  # noqa: S608
        f"VALUES ({', '.join(['%s'] * len(fields))}) "
        f"ON CONFLICT ({taken}) DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}"
    )
    values = [[field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields] for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)
