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

# One file a process, so that two runs on one machine do not meet.
SQLITE_FILE = Path(tempfile.gettempdir()) / f"django-ctrader-test-{os.getpid()}.sqlite3"

TEST_ENVIRONMENT = {
    "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", f"sqlite:///{SQLITE_FILE}"),
    "DJANGO_SECRET_KEY": TEST_DJANGO_SECRET_KEY,
    "CTRADER_ENCRYPTION_KEY": TEST_ENCRYPTION_KEY,
    "INTERNAL_SHARED_SECRET": TEST_SHARED_SECRET,
    # Nothing listens on port 9 of loopback: a test that wants a microservice starts one and says where it is.
    "CTRADER_API_BASE_URL": "http://127.0.0.1:9",
    "AMQP_URL": "memory://",
    # Empty: Celery obeys these two before any configuration, so that no test could point the app elsewhere.
    "CELERY_BROKER_URL": "",
    "CELERY_RESULT_BACKEND": "",
    "PYTHON_DOTENV_DISABLED": "1",
}

_OURS = ("AMQP_", "CELERY_", "CHANNELS_", "CTRADER_", "DATABASE_", "DJANGO_", "INTERNAL_")
_KEPT = {"DJANGO_SETTINGS_MODULE"}

for _name in [name for name in os.environ if name.startswith(_OURS) and name not in _KEPT]:
    del os.environ[_name]
os.environ.update(TEST_ENVIRONMENT)

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # In a file: Django's default for tests is memory shared between threads, which has other locks than any database
    # in production. A crash may lose it all, so nothing waits for the disk.
    DATABASES["default"]["TEST"] = {"NAME": str(SQLITE_FILE)}
    DATABASES["default"]["OPTIONS"]["init_command"] += "PRAGMA synchronous=OFF;"
