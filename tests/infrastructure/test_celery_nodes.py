"""pytest-celery's setup over local processes: the round trip, a killed worker, a restarted broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.exceptions import TimeoutError as ResultTimeoutError
from celery.result import denied_join_result
from pytest_celery import CeleryBackendCluster, CeleryBrokerCluster, CeleryWorkerCluster

from tests.infrastructure.small_celery_app import app as small_app
from tests.support.celery_nodes import LocalSetup, WorkerContainer, WorkerNode, pointed_at
from tests.support.kin import children_of, is_alive
from tests.support.processes import REPOSITORY, base_environment
from tests.support.waiting import wait_until

RESULT_TIMEOUT_S = 30


class SmallSetup(LocalSetup):
    project_app = small_app


@pytest.fixture
def celery_setup_cls() -> type[LocalSetup]:
    return SmallSetup


@pytest.fixture
def celery_backend_cluster(celery_redis_cluster: CeleryBackendCluster) -> CeleryBackendCluster:
    return celery_redis_cluster


@pytest.fixture
def celery_worker_cluster(
    celery_broker_cluster: CeleryBrokerCluster, celery_backend_cluster: CeleryBackendCluster
) -> Iterator[CeleryWorkerCluster]:
    env = {
        **base_environment(),
        "SMALL_BROKER_URL": celery_broker_cluster[0].config()["url"],
        "SMALL_BACKEND_URL": celery_backend_cluster[0].config()["url"],
        "PYTHONPATH": str(REPOSITORY),
    }
    container = WorkerContainer("tests.infrastructure.small_celery_app", env, name="small")
    with container.running():
        yield CeleryWorkerCluster(WorkerNode(container, small_app))


@pytest.fixture
def celery_setup_app(celery_setup_config: dict[str, str]) -> Iterator[Celery]:
    with pointed_at(small_app, celery_setup_config):
        yield small_app


def started(folder: Path) -> int:
    return len(list(folder.glob("started-*")))


def test_a_task_goes_through_the_broker_and_its_result_comes_back(celery_setup: SmallSetup) -> None:
    assert celery_setup.ready()
    assert celery_setup.app is small_app
    result = celery_setup.app.send_task("small.add", (2, 3))
    assert result.get(timeout=RESULT_TIMEOUT_S) == 5
    assert "small.add" in celery_setup.worker.logs()
    assert celery_setup.worker.worker_queue == "celery"


def test_a_task_queued_while_the_worker_is_dead_runs_after_its_restart(celery_setup: SmallSetup) -> None:
    worker = celery_setup.worker
    family = [worker.process.pid, *children_of(worker.process.pid)]
    worker.kill()
    assert worker.container.status == "exited"
    wait_until(lambda: not any(map(is_alive, family)), 5.0, "the worker's children died with it")
    result = celery_setup.app.send_task("small.add", (4, 5))
    worker.restart()
    assert result.get(timeout=RESULT_TIMEOUT_S) == 9


def test_a_task_whose_worker_was_killed_is_delivered_again(celery_setup: SmallSetup, tmp_path: Path) -> None:
    result = celery_setup.app.send_task("small.wait_for_file", (str(tmp_path),))
    wait_until(lambda: started(tmp_path) == 1, 20.0, "the task started")
    celery_setup.worker.kill()
    celery_setup.worker.restart()
    wait_until(lambda: started(tmp_path) == 2, 20.0, "the task started again")
    (tmp_path / "go").touch()
    assert result.get(timeout=RESULT_TIMEOUT_S) is True


@pytest.mark.timeout(180)
def test_worker_and_app_go_on_after_the_broker_restarts(celery_setup: SmallSetup) -> None:
    assert celery_setup.app.send_task("small.add", (1, 1)).get(timeout=RESULT_TIMEOUT_S) == 2
    broker_pid = celery_setup.broker.container.process.pid
    celery_setup.broker.restart()
    assert celery_setup.broker.container.process.pid != broker_pid
    assert celery_setup.app.send_task("small.add", (2, 2)).get(timeout=RESULT_TIMEOUT_S) == 4


def test_the_app_is_what_it_was_after_the_test() -> None:
    before = small_app.conf.broker_url
    with pointed_at(small_app, {"broker_url": "amqp://127.0.0.1:1"}):
        assert small_app.connection_for_write().port == 1
    assert small_app.conf.broker_url == before == "memory://"
    assert small_app.connection_for_write().as_uri().startswith("memory://")


def test_results_can_be_awaited_although_a_worker_ran_in_this_process() -> None:
    nobodys = small_app.AsyncResult("nobody ran this")
    with denied_join_result():  # as such a worker leaves it
        with pytest.raises(RuntimeError, match=r"Never call result\.get"):
            nobodys.get(timeout=0.01)
        with pointed_at(small_app, {"broker_url": "memory://"}), pytest.raises(ResultTimeoutError):
            nobodys.get(timeout=0.01)
