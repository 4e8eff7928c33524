# Set-up shared by the commands in script/: a Python, a virtual environment, apt packages.
# POSIX sh, sourced with the working directory at the repository root.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

can_apt() { is_root && command -v apt-get >/dev/null 2>&1; }

# -- apt -----------------------------------------------------------------------------------------------------------

# Installs packages without starting the services among them: the tests start servers of their own, and a machine's
# owner did not ask for running ones. The policy file that invoke-rc.d obeys is put back as it was.
apt_install() (
    say "installing with apt: $*"
    policy=/usr/sbin/policy-rc.d
    kept=''
    if [ -e "$policy" ]; then
        kept=$(mktemp /usr/sbin/policy-rc.d.kept.XXXXXX)
        mv -f "$policy" "$kept"
    fi
    restore_policy() {
        rm -f "$policy"
        [ -z "$kept" ] || mv -f "$kept" "$policy"
    }
    trap restore_policy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    export DEBIAN_FRONTEND=noninteractive
    lock='DPkg::Lock::Timeout=300'
    apt-get -o "$lock" update -qq || say "warning: apt-get update failed; going on with the lists that are there"
    # What dpkg tells package by package goes; errors come on the other channel.
    apt-get -o "$lock" -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
)

# -- Python --------------------------------------------------------------------------------------------------------

# Prints the first Python >= 3.11, or fails.
find_python() {
    for candidate in python3.13 python3.12 python3.11 python3 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Sets PYTHON to a Python >= 3.11 that can make virtual environments; installs one when that is possible.
need_python() {
    PYTHON=$(find_python) || PYTHON=''
    if [ -z "$PYTHON" ] && can_apt; then
        apt_install python3 python3-venv || die "apt could not install python3 and python3-venv"
        PYTHON=$(find_python) || PYTHON=''
    fi
    [ -n "$PYTHON" ] || die "Python 3.11 or newer is needed: install python3 and python3-venv (Debian 12, Ubuntu 24.04 or later have it)"
    can_make_venv "$PYTHON" && return 0
    version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if can_apt; then
        apt_install "python$version-venv" || apt_install python3-venv || die "apt could not install python3-venv"
        can_make_venv "$PYTHON" && return 0
    fi
    die "$PYTHON cannot make virtual environments: install python$version-venv (or python3-venv)"
}

# -- the virtual environment ---------------------------------------------------------------------------------------

# What an environment made from these requirement files would be stamped with.
requirements_stamp() { cat "$@" | cksum | tr -d ' \n'; }

venv_has() {
    # $1: the stamp's name, $2: its value
    [ "$(cat ".venv/.installed-$1" 2>/dev/null)" = "$2" ]
}

# An environment that runs, on Python >= 3.11, and was made in this folder: its scripts carry absolute paths.
venv_is_sound() {
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 &&
        .venv/bin/python -c 'import pip' >/dev/null 2>&1 &&
        grep -qF "$(pwd -P)/.venv" .venv/bin/activate 2>/dev/null
}

# Makes .venv hold the requirements of $1, `runtime` or `dev`. Sets nothing else; call it through need_venv.
build_venv() {
    runtime=$(requirements_stamp requirements.txt)
    dev=$(requirements_stamp requirements.txt requirements-dev.txt)
    if venv_is_sound; then
        venv_has dev "$dev" && return 0
        [ "$1" = runtime ] && venv_has runtime "$runtime" && return 0
    else
        need_python
        say "making .venv with $PYTHON"
        rm -rf .venv
        "$PYTHON" -m venv .venv || {
            rm -rf .venv
            die "$PYTHON could not make .venv"
        }
    fi
    file=requirements.txt
    [ "$1" = runtime ] || file=requirements-dev.txt
    say "installing $file (a minute or two the first time)"
    # Without the stamps an interrupted installation is done again.
    rm -f .venv/.installed-runtime .venv/.installed-dev
    .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check --progress-bar off \
        -r "$file" </dev/null >&2 || die "pip could not install $file"
    printf '%s' "$runtime" >.venv/.installed-runtime
    [ "$1" = runtime ] || printf '%s' "$dev" >.venv/.installed-dev
}

# As build_venv, one process at a time: a second one waits, and then finds the work done.
need_venv() {
    if command -v flock >/dev/null 2>&1; then
        # The lock is on this very file: it is always there, and nothing is left to clean up.
        (
            flock 9
            build_venv "$1" 9<&-
        ) 9<script/lib/setup.sh || exit 1
    else
        build_venv "$1"
    fi
}
