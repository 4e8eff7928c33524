"""Wrong settings stop the process with one line that names them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import Environment, SettingError
from config.secrets import checked_fernet_keys, derived_key

ROOT = Path(__file__).resolve().parents[2]


def start(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of the product's commands with exactly these settings."""
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "INTERNAL_SHARED_SECRET"),
        ({"CTRADER_API_BASE_URL": "not a url"}, "CTRADER_API_BASE_URL"),
        ({"AMQP_URL": "http://x"}, "AMQP_URL"),
        ({"CTRADER_ORDER_TTL_SECONDS": "soon"}, "CTRADER_ORDER_TTL_SECONDS"),
        ({"CTRADER_ORDER_TTL_SECONDS": "-1"}, "CTRADER_ORDER_TTL_SECONDS"),
        ({"CTRADER_IDEMPOTENT_WRITES": "perhaps"}, "CTRADER_IDEMPOTENT_WRITES"),
        ({"CTRADER_ENCRYPTION_KEY": "short"}, "CTRADER_ENCRYPTION_KEY"),
        ({"DATABASE_URL": "oracle9://x"}, "DATABASE_URL"),
        ({"CHANNELS_REDIS_URL": "redis://"}, "CHANNELS_REDIS_URL"),
        ({"DJANGO_LOG_LEVEL": "LOUD"}, "DJANGO_LOG_LEVEL"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_is_one_line_and_exit_2(environment: dict[str, str], named: str) -> None:
    secret = {"INTERNAL_SHARED_SECRET": "s3cret-value"} if environment else {}
    ended = start(["manage.py", "check"], **secret, **environment)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert named in ended.stderr
    assert "s3cret-value" not in ended.stderr


def test_the_celery_command_says_it_in_the_same_line() -> None:
    ended = start(["-m", "celery", "-A", "config", "worker"])
    assert ended.returncode == 2
    assert "INTERNAL_SHARED_SECRET is missing" in ended.stderr


def test_values_are_typed() -> None:
    env = Environment({"A": " text ", "B": "off", "C": "2.5", "D": "x, y,,z", "E": "  "})
    assert env.text("A") == "text"
    assert env.flag("B", default=True) is False
    assert env.number("C", 1, low=0, high=3) == 2.5
    assert env.items("D") == ["x", "y", "z"]
    assert env.text("E", "default") == "default"
    with pytest.raises(SettingError, match="E is missing"):
        env.text("E")


def test_a_password_in_a_url_is_never_repeated() -> None:
    with pytest.raises(SettingError) as error:
        Environment({"U": "ftp://user:hunter2@host"}).url("U", "", schemes=("amqp",))
    assert "hunter2" not in str(error.value)


def test_derived_keys_agree_between_processes_and_differ_by_purpose() -> None:
    assert derived_key("s", "a") == derived_key("s", "a") != derived_key("s", "b")
    assert checked_fernet_keys("K", [derived_key("s", "a")])
