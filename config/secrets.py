"""Keys that follow from the one secret that every process shares."""

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.environment import SettingError


def derived_key(secret: str, purpose: str) -> str:
    """A key for ``purpose`` from ``secret`` (HKDF-SHA256, url-safe base64: fit for Fernet).

    All processes come to the same key, so nothing has to be invented where none was configured; rotating the secret
    rotates it too, which is why production configures its own.
    """
    key = HKDF(algorithm=SHA256(), length=32, salt=b"django-ctrader", info=purpose.encode()).derive(secret.encode())
    return base64.urlsafe_b64encode(key).decode()


def checked_fernet_keys(name: str, keys: list[str]) -> list[str]:
    """``keys``, each proved to be a Fernet key. Raises SettingError that does not repeat them."""
    for key in keys:
        try:
            Fernet(key)
        except ValueError:
            raise SettingError(f"{name} must be 32 url-safe base64-encoded bytes (cryptography's Fernet key)") from None
    return keys
