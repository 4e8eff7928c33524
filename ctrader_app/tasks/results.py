"""Task results in Django's admin, at the price of one statement a task.

django-celery-results stores a result with get_or_create: five statements, for which each order would pay.
"""

from typing import Any

from django.db import DatabaseError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import TaskResult


class ResultBackend(DatabaseBackend):  # type: ignore[misc]  # the library has no types
    """``result_backend`` of the site: the rows are those of django-celery-results."""

    def _store_result(
        self,
        task_id: str,
        result: object,
        status: str,
        traceback: str | None = None,
        request: Any = None,
        using: str | None = None,
    ) -> object:
        connection = connections[using or router.db_for_write(TaskResult)]
        # Inside somebody's transaction a refused statement would spoil what they do.
        if status in self.READY_STATES and not connection.in_atomic_block:
            row, encoded = self._row(task_id, result, status, traceback, request)
            try:
                _write(row, connection)
            except DatabaseError:
                pass  # a broken connection, say: the library tries again
            else:
                return encoded
        return super()._store_result(task_id, result, status, traceback, request, using)

    def _row(
        self, task_id: str, result: object, status: str, traceback: str | None, request: Any
    ) -> tuple[TaskResult, object]:
        content_type, content_encoding, encoded = self.encode_content(result)
        meta = {**self._get_meta_from_request(request), "children": self.current_task_children(request)}
        row = TaskResult(
            task_id=task_id,
            status=status,
            result=encoded,
            content_type=content_type,
            content_encoding=content_encoding,
            meta=self.encode_content(meta)[2],
            **self._get_extended_properties(request, traceback),
        )
        return row, encoded


def _write(row: TaskResult, connection: BaseDatabaseWrapper) -> None:
    fields = [field for field in TaskResult._meta.concrete_fields if not field.primary_key]
    quote = connection.ops.quote_name
    columns = [quote(str(field.column)) for field in fields]
    # What the library leaves alone when a task ends again: when it first came, and when it started.
    kept = {"task_id", "date_created", "date_started"}
    changes = ", ".join(
        f"{column} = EXCLUDED.{column}" for field, column in zip(fields, columns, strict=True) if field.name not in kept
    )
    statement = (
        f"INSERT INTO {quote(TaskResult._meta.db_table)} ({', '.join(columns)}) "  # noqa: S608
        f"VALUES ({', '.join(['%s'] * len(fields))}) ON CONFLICT (task_id) DO UPDATE SET {changes}"
    )
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
