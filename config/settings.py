"""The site's Django settings, all from the environment (and ``.env``). See docs/configuration.md for each name."""

import sys
from pathlib import Path
from typing import Any

from dotenv import load_dotenv

from config.database import database_of
from config.environment import Environment, SettingError
from config.secrets import checked_fernet_keys, derived_key

BASE_DIR = Path(__file__).resolve().parent.parent


def _database(url: str) -> dict[str, Any]:
    prepared = env.flag("DATABASE_PREPARED_STATEMENTS", default=True)
    max_age_s = int(env.number("DATABASE_CONN_MAX_AGE", 0, low=0, high=86_400))
    try:
        return {**database_of(url, prepared=prepared), "CONN_MAX_AGE": max_age_s}
    except (ValueError, KeyError):
        raise SettingError("DATABASE_URL is malformed: give sqlite:///path or postgres://user:pw@host/name") from None


def _channel_layer(redis_url: str) -> dict[str, Any]:
    if not redis_url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1000}}
    return {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [redis_url]}}


try:
    load_dotenv(BASE_DIR / ".env")
    env = Environment()

    # -- the contract with the microservice and the event stream ---------------------------------------------------
    INTERNAL_SHARED_SECRET = env.text(
        "INTERNAL_SHARED_SECRET", hint="set it to the Bearer token of the cTrader microservice"
    )
    CTRADER_API_BASE_URL = env.url("CTRADER_API_BASE_URL", "http://127.0.0.1:7999", schemes=("http", "https"))
    CTRADER_API_PREFIX = env.text("CTRADER_API_PREFIX", "")
    AMQP_URL = env.url("AMQP_URL", "memory://localhost", schemes=("amqp", "amqps", "memory"))
    AMQP_EVENTS_EXCHANGE = env.text("AMQP_EVENTS_EXCHANGE", "ctrader.events")
    AMQP_EVENTS_QUEUE = env.text("AMQP_EVENTS_QUEUE", "ctrader.backend")
    AMQP_STATE_QUEUE_TYPE = env.choice("AMQP_STATE_QUEUE_TYPE", "quorum", among=("quorum", "classic"))
    AMQP_MARKET_SHARED = env.flag("AMQP_MARKET_SHARED", default=False)
    CTRADER_RELAY_EVERY_TICK = env.flag("CTRADER_RELAY_EVERY_TICK", default=False)
    CTRADER_STALE_AFTER_SECONDS = env.number("CTRADER_STALE_AFTER_SECONDS", 15, low=1, high=86_400)
    CELERY_BROKER_URL = env.url("CELERY_BROKER_URL", AMQP_URL, schemes=("amqp", "amqps", "memory", "redis", "rediss"))

    # -- writes ----------------------------------------------------------------------------------------------------
    CTRADER_EXECUTION_ENABLED = env.flag("CTRADER_EXECUTION_ENABLED", default=True)
    CTRADER_IDEMPOTENT_WRITES = env.flag("CTRADER_IDEMPOTENT_WRITES", default=True)
    CTRADER_ORDER_TTL_SECONDS = env.number("CTRADER_ORDER_TTL_SECONDS", 30, low=0.1, high=86_400)
    CTRADER_REDUCE_TTL_SECONDS = env.number("CTRADER_REDUCE_TTL_SECONDS", 300, low=0.1, high=86_400)
    CTRADER_WRITE_WAIT_SECONDS = env.number("CTRADER_WRITE_WAIT_SECONDS", 20, low=0.1, high=600)
    CTRADER_CONNECT_TIMEOUT_SECONDS = env.number("CTRADER_CONNECT_TIMEOUT_SECONDS", 3, low=0.05, high=60)
    CTRADER_READ_TIMEOUT_SECONDS = env.number("CTRADER_READ_TIMEOUT_SECONDS", 10, low=0.05, high=300)
    CTRADER_SETTLING_LAG_SECONDS = env.number("CTRADER_SETTLING_LAG_SECONDS", 30, low=0, high=3600)
    CTRADER_PRE_TRADE_CHECKS = env.items("CTRADER_PRE_TRADE_CHECKS")

    # -- the desk and its API --------------------------------------------------------------------------------------
    CTRADER_API_WRITES_PER_MINUTE = int(env.number("CTRADER_API_WRITES_PER_MINUTE", 1200, low=1, high=1_000_000))
    CTRADER_DESK_SYMBOLS = env.items("CTRADER_DESK_SYMBOLS", "EURUSD,GBPUSD,USDJPY,XAUUSD,US500.cash,BTCUSD")

    # -- storage and transport -------------------------------------------------------------------------------------
    DATABASES = {"default": _database(env.text("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}"))}
    CHANNELS_REDIS_URL = env.url("CHANNELS_REDIS_URL", "", schemes=("redis", "rediss", "unix"))
    CHANNEL_LAYERS = {"default": _channel_layer(CHANNELS_REDIS_URL)}

    # -- the site --------------------------------------------------------------------------------------------------
    SECRET_KEY = env.text("DJANGO_SECRET_KEY", derived_key(INTERNAL_SHARED_SECRET, "django-secret-key"))
    CTRADER_ENCRYPTION_KEYS = checked_fernet_keys(
        "CTRADER_ENCRYPTION_KEY",
        env.items("CTRADER_ENCRYPTION_KEY", derived_key(INTERNAL_SHARED_SECRET, "encryption-at-rest")),
    )
    DEBUG = env.flag("DJANGO_DEBUG", default=False)
    ALLOWED_HOSTS = env.items("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
    CSRF_TRUSTED_ORIGINS = env.items("DJANGO_CSRF_TRUSTED_ORIGINS")
    STATIC_ROOT = env.text("DJANGO_STATIC_ROOT", str(BASE_DIR / "staticfiles"))
    BEHIND_HTTPS = env.flag("DJANGO_HTTPS", default=False)
    LOG_LEVEL = env.choice("DJANGO_LOG_LEVEL", "INFO", among=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
except SettingError as error:
    # A wrong setting is the operator's to mend: one line, no traceback, whatever command is starting.
    sys.stderr.write(f"configuration error: {error}\n")
    raise SystemExit(2) from None

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_celery_results",
    "ctrader_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["config.formats"]

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_HTTPS else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
}
