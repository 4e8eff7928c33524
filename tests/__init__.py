"""The tests, and in `tests.support` the ground they stand on."""
