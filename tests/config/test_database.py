"""What a database URL becomes."""

from config.database import PREPARED_AFTER, database_of

POSTGRES = "postgresql://u:p@127.0.0.1/name"


def test_postgresql_keeps_plans_unless_told_otherwise() -> None:
    assert database_of(POSTGRES)["OPTIONS"] == {"server_side_binding": True, "prepare_threshold": PREPARED_AFTER}
    assert "OPTIONS" not in database_of(POSTGRES, prepared=False)


def test_what_the_url_says_wins() -> None:
    options = database_of(f"{POSTGRES}?sslmode=require")["OPTIONS"]
    assert options == {"server_side_binding": True, "prepare_threshold": PREPARED_AFTER, "sslmode": "require"}


def test_sqlite_has_no_plans_to_keep() -> None:
    assert database_of("sqlite:///x.sqlite3") == database_of("sqlite:///x.sqlite3", prepared=False)
