"""The state folder: the one place where the embedded system keeps what has to survive."""

import json
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


class StateError(Exception):
    """The state folder cannot be used. The message is one line."""


class State:
    """A folder of our own, readable by its owner only. Raises StateError when it cannot be made or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / "static").mkdir(exist_ok=True)
            self._secrets = self._load_secrets()
        except OSError as error:
            raise StateError(f"the state folder {self.folder} cannot be used: {error.strerror}") from None

    def environment(self, *, microservice_port: int) -> dict[str, str]:
        """The settings of the embedded system: everything on loopback, in memory or in this folder."""
        return {
            "INTERNAL_SHARED_SECRET": self._secrets["shared_secret"],
            "DJANGO_SECRET_KEY": self._secrets["django_secret_key"],
            "CTRADER_ENCRYPTION_KEY": self._secrets["encryption_key"],
            "EMBEDDED_PASSWORD": self._secrets["demo_password"],
            "EMBEDDED_TOKEN": self._secrets["demo_token"],
            "DATABASE_URL": f"sqlite:///{self.folder / 'django.sqlite3'}",
            "AMQP_URL": "memory://localhost",
            "CELERY_BROKER_URL": "memory://localhost",
            "CHANNELS_REDIS_URL": "",
            "CTRADER_API_BASE_URL": f"http://127.0.0.1:{microservice_port}",
            "CTRADER_API_PREFIX": "",
            "CTRADER_IDEMPOTENT_WRITES": "true",
            "DJANGO_ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
            "DJANGO_HTTPS": "false",
            "DJANGO_STATIC_ROOT": str(self.folder / "static"),
        }

    def note_running(self, api_base_url: str) -> None:
        """Keep where the running system's microservice answers, for commands beside it."""
        self._write_private(self.folder / "api_base_url", api_base_url)

    def running_environment(self) -> dict[str, str]:
        """:meth:`environment`, pointed at the system that runs. Raises StateError when none ever ran here."""
        try:
            api_base_url = (self.folder / "api_base_url").read_text()
        except OSError:
            raise StateError(f"no server has run on {self.folder}: start script/server first") from None
        return {**self.environment(microservice_port=0), "CTRADER_API_BASE_URL": api_base_url}

    def _load_secrets(self) -> dict[str, str]:
        path = self.folder / "secrets.json"
        if not path.exists():
            self._write_private(path, json.dumps(_new_secrets(), indent=1))
        try:
            loaded = json.loads(path.read_text())
        except ValueError:
            raise StateError(f"{path} is damaged; without it the saved tokens cannot be read") from None
        if not isinstance(loaded, dict) or not set(_new_secrets()) <= set(loaded):
            raise StateError(f"{path} is incomplete; without it the saved tokens cannot be read")
        return {str(name): str(value) for name, value in loaded.items()}

    def _write_private(self, path: Path, text: str) -> None:
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def _new_secrets() -> dict[str, str]:
    return {
        "shared_secret": secrets.token_urlsafe(32),
        "django_secret_key": secrets.token_urlsafe(48),
        "encryption_key": Fernet.generate_key().decode(),
        "demo_password": secrets.token_urlsafe(9),
        "demo_token": secrets.token_urlsafe(32),
    }
