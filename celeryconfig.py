"""Celery's settings. The numbers that matter for money carry their reason."""

from typing import Any

from django.conf import settings

broker_url = settings.CELERY_BROKER_URL
_in_memory = broker_url.startswith("memory://")
broker_transport_options: dict[str, Any] = (
    # The in-memory transport polls; at 20 ms a task starts within that time at next to no load.
    {"polling_interval": 0.02}
    if _in_memory
    # A publish counts only once the broker has confirmed it. Failing at once leaves the row to the sweep.
    else {"confirm_publish": True, "max_retries": 0}
)
broker_connection_retry_on_startup = True
task_publish_retry = False

imports = ("ctrader_app.tasks.flows", "ctrader_app.tasks.periodic")
task_default_queue = "ctrader"

# A task is acknowledged after its outcome is committed; one whose worker dies comes back. Both may run a task
# twice, which the ledger makes harmless.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = False
task_time_limit = 300
task_track_started = False

# Celery would close the database connection around every task: see config/worker_database.py.
CELERY_DB_REUSE_MAX = 1_000_000_000

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]
# django-celery-results, with one statement a result instead of five.
result_backend = "ctrader_app.tasks.results:ResultBackend"
result_extended = True
result_expires = 7 * 86_400

enable_utc = True
timezone = "UTC"
worker_hijack_root_logger = False
worker_enable_remote_control = not _in_memory
worker_send_task_events = False


def _every(seconds: float, task: str, *, expires_s: float) -> dict[str, Any]:
    return {
        "task": task,
        "schedule": seconds,
        "options": {
            "expires": expires_s,
            "ignore_result": True,
            # Beat keeps one connection for as long as it lives, and only a publish that may be retried renews it:
            # without this a broker that restarts once would leave beat running and the sweep never published again.
            "retry": True,
            "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
        },
    }


beat_schedule: dict[str, dict[str, Any]] = {
    "sweep": _every(2.0, "ctrader.sweep", expires_s=10),
    "leases": _every(5.0, "ctrader.sweep_leases", expires_s=10),
    "production": _every(15.0, "ctrader.renew_production", expires_s=15),
    "purge": _every(3600.0, "ctrader.purge", expires_s=3600),
}
