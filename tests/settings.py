"""Django settings of the test run.

The environment is fixed here before the project's settings read it: a developer's own variables or `.env`
must never decide what a test talks to, nor whether it passes. Every value points at loopback or at memory.
`TEST_DATABASE_URL` alone is taken from outside (see tests/README.md).
"""

import os
import tempfile
from pathlib import Path

# Made up for the tests, and worthless anywhere else.
TEST_SHARED_SECRET = "test-shared-secret-0123456789abcdef"
TEST_ENCRYPTION_KEY = "dGVzdC1vbmx5LWZlcm5ldC1rZXktMzItYnl0ZXMhISE="
TEST_DJANGO_SECRET_KEY = "test-only-django-secret-key-000000000000000000000000"

# One file a process, so that two runs on one machine do not meet. SQLite in a file, not in memory: threads need
# the real locking, and the shared-cache memory mode has other rules.
SQLITE_FILE = Path(tempfile.gettempdir()) / f"django-ctrader-test-{os.getpid()}.sqlite3"

TEST_ENVIRONMENT = {
    "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", f"sqlite:///{SQLITE_FILE}"),
    "DJANGO_SECRET_KEY": TEST_DJANGO_SECRET_KEY,
    "CTRADER_ENCRYPTION_KEY": TEST_ENCRYPTION_KEY,
    "INTERNAL_SHARED_SECRET": TEST_SHARED_SECRET,
    # Nothing listens on port 9 of loopback: a test that wants a microservice starts one and says where it is.
    "CTRADER_API_BASE_URL": "http://127.0.0.1:9",
    "CTRADER_API_PREFIX": "",
    "AMQP_URL": "memory://",
    # Empty: Celery obeys these two before any configuration, so that no test could point the app elsewhere.
    "CELERY_BROKER_URL": "",
    "CELERY_RESULT_BACKEND": "",
    "CHANNELS_REDIS_URL": "",
    "AMQP_EVENTS_EXCHANGE": "ctrader.events",
    "AMQP_EVENTS_QUEUE": "ctrader.backend",
    "CTRADER_EXECUTION_ENABLED": "true",
    "CTRADER_ORDER_TTL_SECONDS": "30",
    "CTRADER_WRITE_WAIT_SECONDS": "20",
    "CTRADER_IDEMPOTENT_WRITES": "true",
}
os.environ.update(TEST_ENVIRONMENT)

from config.settings import *  # noqa: E402, F403

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # Without a name Django's test database is that shared-cache memory after all.
    DATABASES["default"]["TEST"] = {"NAME": SQLITE_FILE}  # noqa: F405
