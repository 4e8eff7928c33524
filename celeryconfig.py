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

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]
result_backend = "django-db"
result_extended = True
result_expires = 7 * 86_400

enable_utc = True
timezone = "UTC"
worker_hijack_root_logger = False
worker_enable_remote_control = not _in_memory
worker_send_task_events = False

beat_schedule: dict[str, dict[str, Any]] = {
    "sweep": {"task": "ctrader.sweep", "schedule": 2.0, "options": {"expires": 10, "ignore_result": True}},
    "leases": {"task": "ctrader.sweep_leases", "schedule": 5.0, "options": {"expires": 10, "ignore_result": True}},
    "production": {
        "task": "ctrader.renew_production",
        "schedule": 15.0,
        "options": {"expires": 15, "ignore_result": True},
    },
    "purge": {"task": "ctrader.purge", "schedule": 3600.0, "options": {"expires": 3600, "ignore_result": True}},
}
