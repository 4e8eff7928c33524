# What the tests need beside Python: RabbitMQ, Redis, PostgreSQL and Chromium. Sourced after setup.sh.

has_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && command -v epmd >/dev/null 2>&1; }

has_redis() { command -v redis-server >/dev/null 2>&1; }

has_postgres() {
    for initdb in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return 0
    done
    command -v initdb >/dev/null 2>&1
}

# The tests know best where a browser may be; this asks them.
has_chromium() {
    .venv/bin/python -c 'from tests.support.chromium import find_chromium; find_chromium()' >/dev/null 2>&1
}

# Ubuntu's chromium is a stub for snap, which containers do not run: Playwright's own download serves there.
is_ubuntu() { grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null; }

missing_packages() {
    has_rabbitmq || printf '%s ' rabbitmq-server
    has_redis || printf '%s ' redis-server
    has_postgres || printf '%s ' postgresql
    is_ubuntu || has_chromium || printf '%s ' chromium fonts-dejavu-core
}

need_services() {
    missing=$(missing_packages)
    if [ -n "$missing" ]; then
        can_apt || die "the tests need packages that are missing: apt-get install --no-install-recommends $missing"
        # shellcheck disable=SC2086 # a list of words
        apt_install $missing || die "apt could not install $missing"
        missing=$(missing_packages)
        [ -z "$missing" ] || die "still missing after the installation: $missing"
    fi
    has_chromium && return 0
    is_root || die "the tests need Chromium: run .venv/bin/playwright install --with-deps chromium"
    say "downloading Chromium with Playwright"
    .venv/bin/python -m playwright install --with-deps chromium </dev/null >&2 || die "Playwright could not install Chromium"
}
