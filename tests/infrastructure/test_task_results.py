"""Task results: one statement each, the same rows as django-celery-results writes itself."""

import uuid
from typing import Any

import pytest
from celery.app.task import Context
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import TaskResult

from config.celery import app
from ctrader_app.tasks.results import ResultBackend

VOLATILE = ("id", "task_id", "date_created", "date_done")


def request_of(task_id: str) -> Context:
    return Context(id=task_id, task="ctrader.place", argsrepr="('1',)", kwargsrepr="{}", hostname="w@h", children=[])


def stored(backend: DatabaseBackend, status: str, result: Any, task_id: str | None = None) -> dict[str, Any]:
    """What the table holds after this backend has stored the result."""
    task_id = task_id or str(uuid.uuid4())
    backend.store_result(task_id, result, status, request=request_of(task_id))
    row = TaskResult.objects.filter(task_id=task_id).values().get()
    return {name: value for name, value in row.items() if name not in VOLATILE}


def created_at(task_id: str) -> object:
    return TaskResult.objects.values_list("date_created", flat=True).get(task_id=task_id)


@pytest.mark.parametrize(("status", "result"), [("SUCCESS", "succeeded"), ("FAILURE", ValueError("no"))])
def test_the_rows_are_the_librarys(each_database: str, status: str, result: Any) -> None:
    assert stored(ResultBackend(app), status, result) == stored(DatabaseBackend(app), status, result)


def test_one_statement(each_database: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        ResultBackend(app).store_result(str(uuid.uuid4()), "done", "SUCCESS", request=request_of("x"))
    assert len(captured) == 1


def test_a_task_that_ends_again_overwrites_its_result(each_database: str) -> None:
    task_id = str(uuid.uuid4())
    first = stored(ResultBackend(app), "SUCCESS", "in_doubt", task_id)
    created = created_at(task_id)
    second = stored(ResultBackend(app), "SUCCESS", "succeeded", task_id)
    assert (first["result"], second["result"]) == ('"in_doubt"', '"succeeded"')
    assert created_at(task_id) == created


def test_inside_a_transaction_the_library_does_it(each_database: str) -> None:
    """Its savepoints keep a refused statement from spoiling the caller's transaction."""
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        assert stored(ResultBackend(app), "SUCCESS", "done")["result"] == '"done"'
    assert len(captured) > 2


def test_what_is_stored_can_be_read(each_database: str) -> None:
    task_id = str(uuid.uuid4())
    stored(ResultBackend(app), "SUCCESS", {"state": "succeeded"}, task_id)
    assert ResultBackend(app).get_result(task_id) == {"state": "succeeded"}
