"""What was committed is there after the database server was killed, though its settings would not have it so."""

from unittest import mock

import pytest
from django.db import connection
from django.utils import timezone

from ctrader_app.domain.operations import State
from ctrader_app.ledger import durability
from ctrader_app.ledger import operations as ledger
from ctrader_app.models import Operation
from tests.support.operations import make_account, order
from tests.support.postgres import PostgresServer


def synchronous_commit() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        value: str = cursor.fetchone()[0]
    return value


def test_a_claim_outlives_the_server_that_was_killed(postgres: PostgresServer, postgres_db: str) -> None:
    with postgres.connect() as plain:
        assert plain.execute("SHOW synchronous_commit").fetchone() == ("off",), "what is to be made good"
    now = timezone.now()
    operation, _ = ledger.open_operation(make_account(), order(), key=None, ttl_s=60, now=now, actor="test")
    assert ledger.claim(operation, body={}, baseline=None, now=now, actor="test")
    postgres.kill()
    postgres.start()
    connection.close()
    assert Operation.objects.get(pk=operation.pk).state == State.SENDING
    assert operation.transitions.count() == 2


@pytest.mark.usefixtures("postgres_db")
def test_what_waits_for_more_stays_as_it_is() -> None:
    assert synchronous_commit() == "on"
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = remote_apply")
    durability.insist(connection)
    assert synchronous_commit() == "remote_apply"


@pytest.mark.usefixtures("postgres_db")
def test_a_database_that_is_not_the_ledgers_is_left_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    with mock.patch("django.db.router.db_for_write", return_value="another"):
        durability.insist(connection)
    assert synchronous_commit() == "off"
