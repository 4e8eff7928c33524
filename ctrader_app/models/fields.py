"""Column types shared by the tables."""

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class AmountField(models.DecimalField[Any, Any]):
    """Money, prices and lots: exact, up to 20 digits before and 10 after the point."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 30)
        kwargs.setdefault("decimal_places", 10)
        super().__init__(*args, **kwargs)


@lru_cache(maxsize=1)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


class EncryptedTextField(models.TextField[Any, Any]):
    """Text that is encrypted at rest (Fernet: AES-128-CBC with HMAC-SHA256).

    ``settings.CTRADER_ENCRYPTION_KEYS`` lists the keys, newest first: the first one encrypts, all decrypt.
    """

    def get_prep_value(self, value: Any) -> Any:
        if value in (None, ""):
            return value
        return _cipher(tuple(settings.CTRADER_ENCRYPTION_KEYS)).encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> str | None:
        if not value:
            return value
        try:
            return _cipher(tuple(settings.CTRADER_ENCRYPTION_KEYS)).decrypt(value.encode()).decode()
        except InvalidToken:
            raise ImproperlyConfigured(
                f"{self.model.__name__}.{self.name} cannot be decrypted with any key of CTRADER_ENCRYPTION_KEY"
            ) from None
