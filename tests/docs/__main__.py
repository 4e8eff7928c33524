"""``script/docs``: write the generated parts of the documentation, or say which are out of date."""

import argparse
import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from tests.docs.generated import ROOT, documents, with_parts  # noqa: E402 - what it reads needs Django set up


def main() -> int:
    """0 when all is, or was brought, up to date; 1 when ``--check`` found something old."""
    parser = argparse.ArgumentParser(prog="script/docs", description="Write the generated parts of docs/*.md.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something is out of date")
    check_only: bool = parser.parse_args().check
    old = [path for path in documents() if with_parts(path.read_text()) != path.read_text()]
    for path in old:
        if not check_only:
            path.write_text(with_parts(path.read_text()))
        sys.stdout.write(f"{path.relative_to(ROOT)}: {'out of date' if check_only else 'written'}\n")
    return 1 if old and check_only else 0


if __name__ == "__main__":
    sys.exit(main())
