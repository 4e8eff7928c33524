"""A bare Celery task that does the same POST: RabbitMQ, late acknowledgement, Redis results, nothing written down."""

import os
from typing import Any

import requests
from celery import Celery

app = Celery("bare", broker=os.environ["AMQP_URL"], backend=os.environ["BARE_RESULTS_URL"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_default_queue="bare",
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)

_session = requests.Session()
_session.trust_env = False
_session.headers["Authorization"] = f"Bearer {os.environ['INTERNAL_SHARED_SECRET']}"


@app.task(name="bare.place")
def place(body: dict[str, Any], key: str) -> dict[str, Any]:
    """POST one order and return the service's answer."""
    url = f"{os.environ['CTRADER_API_BASE_URL']}/trade/place"
    answer = _session.post(url, json=body, headers={"Idempotency-Key": key}, timeout=(3, 10))
    answer.raise_for_status()
    placed: dict[str, Any] = answer.json()
    return placed
