"""Fixtures for every test; tests/README.md lists them."""

pytest_plugins = [
    "tests.support.reporting",
    "tests.support.servers",
    "tests.support.celery_fixtures",
    "tests.support.write_path",
]
