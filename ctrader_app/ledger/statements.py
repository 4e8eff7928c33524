"""The statements that every write pays for, composed here and not by the ORM, which takes longer to compose each of
them than the database to carry it out: together a third of what an order costs a worker.

Names come from the models and values are parameters: nothing of what a caller or a venue says becomes SQL.
"""

import threading
import uuid
from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from ctrader_app.models import Operation, TradingAccount, TradingControl

Row = TypeVar("Row", bound=models.Model)

_NOW = {"postgresql": "STATEMENT_TIMESTAMP()", "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"}

_FIELDS = {field.attname: field for field in Operation._meta.concrete_fields}


class _Columns(Generic[Row]):
    """A model's columns in a SELECT, all or some of them, and what a row of them makes."""

    def __init__(self, model: type[Row], alias: str, connection: BaseDatabaseWrapper, *names: str) -> None:
        fields = [field for field in model._meta.concrete_fields if not names or field.attname in names]
        self._model = model
        self._names = [field.attname for field in fields]
        self.sql = ", ".join(f"{alias}.{_quoted(field, connection)}" for field in fields)
        self._converters: list[tuple[int, Any, list[Any]]] = []
        for index, field in enumerate(fields):
            column = field.get_col(alias)
            converters = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
            if converters:
                self._converters.append((index, column, converters))

    def __len__(self) -> int:
        return len(self._names)

    def instance(self, row: Collection[Any], connection: BaseDatabaseWrapper) -> Row:
        return self._model.from_db(connection.alias, self._names, self._converted(row, connection))

    def values(self, row: Collection[Any], connection: BaseDatabaseWrapper) -> dict[str, Any]:
        return dict(zip(self._names, self._converted(row, connection), strict=True))

    def _converted(self, row: Collection[Any], connection: BaseDatabaseWrapper) -> list[Any]:
        values = list(row)
        for index, column, converters in self._converters:
            for convert in converters:
                values[index] = convert(values[index], column, connection)
        return values


class _Fetch:
    """One operation with its account and the kill switch, on one connection."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._operation = _Columns(Operation, "o", connection)
        self._account = _Columns(TradingAccount, "a", connection)
        self._sql = (
            f"SELECT {self._operation.sql}, {self._account.sql}, "  # noqa: S608
            f"(SELECT c.reason FROM {_table(TradingControl, connection)} c WHERE c.id = %s AND NOT c.opening_enabled) "
            f"FROM {_table(Operation, connection)} o "
            f"JOIN {_table(TradingAccount, connection)} a ON a.id = o.account_id WHERE o.id = %s"
        )

    def __call__(self, operation_id: uuid.UUID) -> Operation | None:
        connection = self.connection
        parameters = (TradingControl.SINGLETON, _FIELDS["id"].get_db_prep_value(operation_id, connection))
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            row = cursor.fetchone()
        if row is None:
            return None
        operation = self._operation.instance(row[: len(self._operation)], connection)
        operation.account = self._account.instance(row[len(self._operation) : -1], connection)
        operation.opening_stopped = row[-1]
        return operation


class _Standings:
    """Some columns of some operations, on one connection."""

    NAMES = ("id", "state", "result", "error_code", "error_message")

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._columns = _Columns(Operation, "o", connection, *self.NAMES)
        self._select = f"SELECT {self._columns.sql} FROM {_table(Operation, connection)} o WHERE "  # noqa: S608

    def __call__(self, operation_ids: Collection[uuid.UUID], states: Collection[str]) -> list[dict[str, Any]]:
        connection = self.connection
        parameters = [_FIELDS["id"].get_db_prep_value(each, connection) for each in operation_ids]
        # Not "= ANY(array)": whatever its length, PostgreSQL plans for ten, and keeps a plan that reads a small table
        # whole until it is a large one.
        condition = f"o.id IN ({_marks(operation_ids)})"
        if states:
            condition += f" AND o.state IN ({_marks(states)})"
            parameters += states
        with connection.cursor() as cursor:
            cursor.execute(self._select + condition, parameters)
            return [self._columns.values(row, connection) for row in cursor.fetchall()]


_local = threading.local()
"""The thread's _Fetch and _Standings, as connections are a thread's own: kept elsewhere they would outlive it."""


def fetch(operation_id: uuid.UUID) -> Operation:
    """The row with its account and the kill switch. Raises Operation.DoesNotExist."""
    connection = connections[DEFAULT_DB_ALIAS]
    select: _Fetch | None = getattr(_local, "fetch", None)
    if select is None or select.connection is not connection:
        select = _local.fetch = _Fetch(connection)
    operation = select(operation_id)
    if operation is None:
        raise Operation.DoesNotExist(f"no operation {operation_id}")
    return operation


def standings(operation_ids: Collection[uuid.UUID], states: Collection[str] = ()) -> list[dict[str, Any]]:
    """id, state, result, error_code and error_message of those of the operations that are in one of ``states``, or of
    all of them."""
    connection = connections[DEFAULT_DB_ALIAS]
    select: _Standings | None = getattr(_local, "standings", None)
    if select is None or select.connection is not connection:
        select = _local.standings = _Standings(connection)
    return select(operation_ids, states)


def insert(operation: Operation) -> bool:
    """Insert the row, in the caller's transaction if there is one. False: another has its key or id.

    Of two who insert the same key at once the second waits for the first one's commit.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    columns = ", ".join(_quoted(field, connection) for field in _FIELDS.values())
    statement = (
        f"INSERT INTO {_table(Operation, connection)} ({columns}) "  # noqa: S608
        f"VALUES ({_marks(_FIELDS)}) ON CONFLICT DO NOTHING"
    )
    values = [field.get_db_prep_save(getattr(operation, name), connection) for name, field in _FIELDS.items()]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        is_new: bool = cursor.rowcount == 1
    if is_new:
        operation._state.adding, operation._state.db = False, connection.alias
    return is_new


def move(
    operation: Operation, values: Mapping[str, object], *, sources: Collection[str], before_deadline: bool
) -> bool:
    """The guarded update: set ``values`` if the row is in one of ``sources`` at this attempt; whether it was.

    ``before_deadline``: and only before its deadline, by the database's clock.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    fields = [_FIELDS[name] for name in values]
    changes = ", ".join(f"{_quoted(field, connection)} = %s" for field in fields)
    guards = f"id = %s AND attempts = %s AND state IN ({_marks(sources)})"
    if before_deadline:
        guards += f" AND deadline > {now_sql(connection.vendor)}"
    parameters = [
        *(field.get_db_prep_save(value, connection) for field, value in zip(fields, values.values(), strict=True)),
        _FIELDS["id"].get_db_prep_value(operation.pk, connection),
        operation.attempts,
        *sources,
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {_table(Operation, connection)} SET {changes} WHERE {guards}", parameters)  # noqa: S608
        has_moved: bool = cursor.rowcount == 1
    return has_moved


def now_sql(vendor: str) -> str:
    """The database's clock, as ``django.db.models.functions.Now`` has it."""
    return _NOW[vendor]


def _marks(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values))


def _table(model: type[models.Model], connection: BaseDatabaseWrapper) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _quoted(field: "models.Field[Any, Any]", connection: BaseDatabaseWrapper) -> str:
    return connection.ops.quote_name(str(field.column))
