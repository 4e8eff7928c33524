"""A RabbitMQ of the test run's own."""

import secrets
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import (
    ManagedProcess,
    ProcessFailedError,
    base_environment,
    give_to,
    group_of,
    make_folder,
    service_user,
)

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""The real scripts: the wrappers in /usr/sbin refuse to run as anybody but root or rabbitmq."""

START_TIMEOUT_S = 60.0
_CONTROL_TIMEOUT_S = 30.0
_VHOST_BATCH = 10
# Busy waiting of idle schedulers costs the other processes of a small machine; memory is what start-up needs anyway.
_ERLANG_ARGUMENTS = "+sbwt none +sbwtdcpu none +sbwtdio none"
_HANDSHAKE = b"AMQP\x00\x00\x09\x01"
"""The protocol header of AMQP 0-9-1; a server that is up answers with connection.start."""


class RabbitMQServer:
    """RabbitMQ on free ports of loopback: own node, own cookie, own epmd, data in a temporary folder.

    User and password are guest/guest. Restarts keep ports and durable data. `plugins` are names such as
    `rabbitmq_consistent_hash_exchange`.
    """

    def __init__(self, plugins: Sequence[str] = ()) -> None:
        self.port = free_port()
        self._user = service_user("rabbitmq")
        self.folder = make_folder("rabbitmq", self._user)
        self._programs = find_rabbitmq()
        self._spare_vhosts: list[str] = []
        self._used_vhosts: list[str] = []
        self._vhosts_made = 0
        epmd_port = free_port()
        self._env = self._environment(epmd_port)
        self._write_files(plugins)
        # Started here so that it is ours to end: Erlang would start a daemon of its own and leave it behind.
        self._epmd = ManagedProcess(
            "epmd", [find_epmd(), "-port", str(epmd_port), "-address", LOOPBACK],
            log_path=self.folder / "epmd.log", env=self._env, cwd=self.folder, user=self._user,
        )  # fmt: skip
        self._epmd_port = epmd_port
        self.process = ManagedProcess(
            "rabbitmq", [str(self._programs / "rabbitmq-server")],
            log_path=self.folder / "rabbitmq.log", env=self._env, cwd=self.folder, user=self._user,
            # To the group: the shell script in front does not pass it on at once.
            stop_group=True, stop_timeout_s=30.0,
        )  # fmt: skip

    def _environment(self, epmd_port: int) -> dict[str, str]:
        folder = self.folder
        return base_environment() | {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_ARGUMENTS,
        }

    def _write_files(self, plugins: Sequence[str]) -> None:
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        give_to(cookie, self._user)
        (self.folder / "rabbitmq.conf").write_text("log.console.level = warning\n")
        (self.folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start it and wait until it speaks AMQP; 6 to 9 s."""
        if not self._epmd.running:
            self._epmd.start()
            self._epmd.wait_for_port(self._epmd_port)
        self.process.start()
        self.process.wait_for(self.answers, START_TIMEOUT_S, "AMQP handshake")
        return self

    def stop(self) -> None:
        """Stop it in order: messages in durable queues stay."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop and start on the same ports with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop it, its epmd included, and remove its folder."""
        self.stop()
        self._epmd.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether it answers the first bytes of AMQP."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
                connection.sendall(_HANDSHAKE)
                return len(connection.recv(8)) > 0
        except OSError:
            return False

    def url(self, vhost: str = "/") -> str:
        """The AMQP URL of a virtual host."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/{'%2F' if vhost == '/' else vhost}"

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl against this server (0.5 to 1 s) and return its output; ProcessFailedError if it fails."""
        command = [str(self._programs / "rabbitmqctl"), "--quiet", *arguments]
        try:
            done = subprocess.run(
                command,
                env=self._env,
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=_CONTROL_TIMEOUT_S,
                user=self._user,
                group=group_of(self._user),
                extra_groups=None if self._user is None else [],
            )
        except subprocess.TimeoutExpired as error:
            raise ProcessFailedError(f"rabbitmqctl {arguments} took over {_CONTROL_TIMEOUT_S:g} s") from error
        if done.returncode != 0:
            raise ProcessFailedError(f"rabbitmqctl {arguments}: {done.stderr}{done.stdout}")
        return done.stdout

    def fresh_vhost(self) -> str:
        """The name of an empty virtual host that nobody had before.

        They are made ten at a time (one rabbitmqctl, about 0.6 s), and the used ones go at the same moment: whoever
        still uses the vhost of an earlier test is cut off.
        """
        if not self._spare_vhosts:
            first = self._vhosts_made
            self._vhosts_made += _VHOST_BATCH
            self._spare_vhosts = [f"test-{number}" for number in range(first, self._vhosts_made)]
            self.control("eval", _vhost_program(self._used_vhosts, self._spare_vhosts))
            self._used_vhosts = []
        vhost = self._spare_vhosts.pop(0)
        self._used_vhosts.append(vhost)
        return vhost

    def raise_memory_alarm(self) -> None:
        """Make it block every publisher, as when its memory is full."""
        self.control("set_vm_memory_high_watermark", "0.0000001")

    def clear_memory_alarm(self) -> None:
        """Let publishers go on."""
        self.control("set_vm_memory_high_watermark", "0.8")

    def close_connections(self, reason: str = "closed by the test") -> None:
        """Close every client connection from the server's side."""
        self.control("close_all_connections", "--global", reason)


def _vhost_program(old: Sequence[str], new: Sequence[str]) -> str:
    """Erlang that removes and adds virtual hosts and opens the new ones to guest."""
    steps = [f'rabbit_vhost:delete(<<"{name}">>, <<"tests">>)' for name in old]
    for name in new:
        steps.append(f'rabbit_vhost:add(<<"{name}">>, <<"tests">>)')
        steps.append(
            f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{name}">>, '
            '<<".*">>, <<".*">>, <<".*">>, <<"tests">>)'
        )
    return ", ".join(steps) + "."


def find_rabbitmq() -> Path:
    """The folder of RabbitMQ's programs; ProcessFailedError says how to install it."""
    if not (PROGRAMS / "rabbitmq-server").exists():
        raise ProcessFailedError("RabbitMQ is not installed (apt-get install rabbitmq-server)")
    return PROGRAMS


def find_epmd() -> str:
    """Erlang's port mapper; it comes with RabbitMQ's packages."""
    found = shutil.which("epmd")
    if found is None:
        raise ProcessFailedError("epmd is not installed (apt-get install rabbitmq-server)")
    return found
