"""Column types shared by the tables."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

_Set = TypeVar("_Set")
_Get = TypeVar("_Get")


class _Amount:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 30)
        kwargs.setdefault("decimal_places", 10)
        super().__init__(*args, **kwargs)


class _EncryptedText:
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
                "an encrypted column cannot be decrypted with any key of CTRADER_ENCRYPTION_KEY"
            ) from None


@lru_cache(maxsize=1)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


if TYPE_CHECKING:  # Django's fields are generic for the type checker only

    class AmountField(_Amount, models.DecimalField[_Set, _Get]): ...

    class EncryptedTextField(_EncryptedText, models.TextField[_Set, _Get]): ...

else:

    class AmountField(_Amount, models.DecimalField):
        """Money, prices and lots: exact, up to 20 digits before and 10 after the point."""

    class EncryptedTextField(_EncryptedText, models.TextField):
        """Text that is encrypted at rest (Fernet: AES-128-CBC with HMAC-SHA256).

        ``settings.CTRADER_ENCRYPTION_KEYS`` lists the keys, newest first: the first one encrypts, all decrypt.
        """
