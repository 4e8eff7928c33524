"""The commands in script/: what they say when something is missing, without installing anything."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY

TOOLS = ("sh", "cat", "cksum", "tr", "grep", "dirname", "flock", "rm", "env", "ls")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH of a few standard tools, no Python and no apt, of somebody who is not root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        for place in ("/usr/bin", "/bin"):
            if Path(place, tool).exists():
                (folder / tool).symlink_to(Path(place, tool))
                break
    stub(folder, "id", "echo 1000")
    return folder


def stub(folder: Path, name: str, body: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def shell(path: Path, program: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "/bin/sh",
            "-c",
            f"set -eu; . {REPOSITORY}/script/lib/setup.sh; . {REPOSITORY}/script/lib/services.sh; {program}",
        ],
        cwd=cwd,
        env={"PATH": str(path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_python_there_is_one_line_that_says_what_to_install(bare_path: Path, tmp_path: Path) -> None:
    stub(bare_path, "python3", "exit 1")  # too old
    done = shell(bare_path, "build_venv runtime", cwd=copy_of_requirements(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or newer is needed: install python3 and python3-venv" in done.stderr


def test_the_newest_fitting_python_is_found(bare_path: Path) -> None:
    stub(bare_path, "python3", "exit 1")
    stub(bare_path, "python3.12", "exit 0")
    done = shell(bare_path, "find_python")
    assert done.stdout.strip() == str(bare_path / "python3.12")


def test_a_python_without_venv_is_named(bare_path: Path, tmp_path: Path) -> None:
    stub(bare_path, "python3", 'case "$2" in *ensurepip*) exit 1 ;; *print*) echo 3.11 ;; esac')
    done = shell(bare_path, "build_venv runtime", cwd=copy_of_requirements(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "install python3.11-venv" in done.stderr


def test_missing_servers_are_named_in_one_line(bare_path: Path) -> None:
    done = shell(
        bare_path, "has_rabbitmq() { false; }; has_redis() { false; }; has_chromium() { true; }; need_services"
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt-get install --no-install-recommends rabbitmq-server redis-server" in done.stderr


def test_nothing_is_installed_where_all_is_there(bare_path: Path) -> None:
    done = shell(
        bare_path, 'for f in rabbitmq redis postgres chromium; do eval "has_$f() { true; }"; done; need_services'
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_up_to_date_environment_is_left_alone_and_a_stale_one_is_not(bare_path: Path, tmp_path: Path) -> None:
    folder = copy_of_requirements(tmp_path)
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    stub(scripts, "python", f'case "$*" in *"pip install"*) echo "$@" >> {folder}/pip.log ;; esac')
    (scripts / "activate").write_text(f"VIRTUAL_ENV={folder}/.venv\n")
    for kind, file in [("runtime", "requirements.txt"), ("dev", "requirements-dev.txt")]:
        shell(bare_path, f"build_venv {kind}", cwd=folder)
        shell(bare_path, f"build_venv {kind}", cwd=folder)
        calls = (folder / "pip.log").read_text().splitlines()
        assert calls[-1].endswith(file)
    assert len(calls) == 2
    shell(bare_path, "build_venv runtime", cwd=folder)
    assert len((folder / "pip.log").read_text().splitlines()) == 2
    (folder / "requirements.txt").write_text("another==1\n")
    shell(bare_path, "build_venv runtime", cwd=folder)
    assert len((folder / "pip.log").read_text().splitlines()) == 3


def test_two_set_ups_at_once_install_once(bare_path: Path, tmp_path: Path) -> None:
    folder = copy_of_requirements(tmp_path)
    (folder / "script" / "lib").mkdir(parents=True)
    (folder / "script" / "lib" / "setup.sh").write_text((REPOSITORY / "script/lib/setup.sh").read_text())
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    log, mark = folder / "pip.log", folder / "installing"
    install = f"mkdir {mark} || echo twice > {folder}/clash; echo x >> {log}; rmdir {mark}"
    for tool in ("mkdir", "rmdir"):
        (bare_path / tool).symlink_to(f"/bin/{tool}")
    stub(scripts, "python", f'case "$*" in *"pip install"*) {install} ;; esac')
    (scripts / "activate").write_text(f"VIRTUAL_ENV={folder}/.venv\n")
    commands = [
        subprocess.Popen(
            ["/bin/sh", "-c", "set -eu; . script/lib/setup.sh; need_venv dev"], cwd=folder, env={"PATH": str(bare_path)}
        )
        for _ in range(4)
    ]
    assert [command.wait(timeout=60) for command in commands] == [0, 0, 0, 0]
    assert log.read_text().count("x") == 1
    assert not (folder / "clash").exists()


def test_help_needs_no_set_up(bare_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "script/server", "--help"],
        cwd=REPOSITORY,
        env={"PATH": str(bare_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: script/server [--port 8000] [--state DIR]")


@pytest.mark.parametrize("name", ["script/test", "script/server", ".ci/run"])
def test_commands_are_executable_posix_shell(name: str) -> None:
    path = REPOSITORY / name
    assert path.read_text().startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    assert subprocess.run(["/bin/sh", "-n", str(path)], check=False).returncode == 0


def copy_of_requirements(folder: Path) -> Path:
    """A folder that looks like a fresh clone to the set-up."""
    clone = folder / "clone"
    clone.mkdir()
    for name in ("requirements.txt", "requirements-dev.txt"):
        (clone / name).write_text((REPOSITORY / name).read_text())
    return clone
