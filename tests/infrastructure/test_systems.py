"""The whole system as processes, and pytest-celery's setup with the project's own app."""

import json
import signal
import urllib.request

import pytest
from django_celery_results.models import TaskResult

from config.celery import app as project_app
from tests.support.celery_nodes import LocalSetup
from tests.support.kin import is_alive
from tests.support.system import EmbeddedSystem, ProductionSystem, http_answers
from tests.support.waiting import wait_until

RESULT_TIMEOUT_S = 30


def test_the_projects_app_runs_a_task_and_its_result_is_in_the_database(celery_setup: LocalSetup) -> None:
    assert celery_setup.app is project_app
    result = celery_setup.app.send_task("ctrader.sweep")
    figures = result.get(timeout=RESULT_TIMEOUT_S)
    assert json.loads(TaskResult.objects.get(task_id=result.id).result) == figures


def test_the_projects_app_is_in_memory_again_afterwards() -> None:
    assert project_app.conf.broker_url == "memory://"
    assert project_app.connection_for_write().as_uri().startswith("memory://")


@pytest.mark.timeout(180)
def test_the_production_system_starts_loses_a_part_and_stops_in_order(production_system: ProductionSystem) -> None:
    system = production_system
    assert {process.name for process in system.processes} == {"microservice", "worker", "beat", "stream", "web"}
    with urllib.request.urlopen(f"{system.web_url}/healthz", timeout=5) as answer:
        assert answer.status == 200
    system.worker.wait_for_log(r"ctrader\.sweep\[.*succeeded", 30.0)
    first = system.web.pid
    system.web.kill()
    assert not http_answers(f"{system.web_url}/healthz")
    system.web.start()
    system.wait_ready(system.web)
    assert system.web.pid != first
    assert "no issues" in system.manage("check")
    system.stop()
    statuses = {process.name: process.returncode for process in system.processes}
    # uvicorn ends in order, and then by the signal that asked it to.
    assert statuses == {"microservice": 0, "worker": 0, "beat": 0, "stream": 0, "web": -signal.SIGTERM}
    assert "Finished server process" in system.web.log()


@pytest.mark.timeout(180)
def test_the_embedded_system_says_where_it_is_and_survives_a_kill(embedded_system: EmbeddedSystem) -> None:
    system = embedded_system
    before = system.ready
    assert before.url == f"http://127.0.0.1:{system.port}/"
    status, accounts = system.get("/api/accounts")
    assert status == 200
    assert before.account in json.dumps(accounts)
    pid = system.process.pid
    system.kill()
    wait_until(lambda: not is_alive(pid), 5.0, "the killed system is gone")
    system.start()
    assert system.ready.account == before.account
    assert system.stop() == 0
