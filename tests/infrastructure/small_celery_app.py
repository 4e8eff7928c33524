"""A small Celery application, to prove the nodes without the product's own."""

import os
import time
from pathlib import Path

from celery import Celery

app = Celery(
    "small",
    broker=os.environ.get("SMALL_BROKER_URL", "memory://"),
    backend=os.environ.get("SMALL_BACKEND_URL", "cache+memory://"),
    set_as_current=False,
)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)


@app.task(name="small.add")
def add(first: int, second: int) -> int:
    return first + second


@app.task(name="small.wait_for_file", bind=True)
def wait_for_file(self: object, folder: str) -> bool:
    """Leave a mark for each start, end once the file `go` is there; says whether it was delivered again."""
    path = Path(folder)
    (path / f"started-{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while not (path / "go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody made the file")
        time.sleep(0.02)
    return bool(self.request.delivery_info["redelivered"])  # type: ignore[attr-defined]
