"""A disposable Debian host: a booted systemd with RabbitMQ, in an overlay of this machine's root or of another one.

    with Host() as host:
        host.run("systemctl status rabbitmq-server")

It has its own processes, mounts, host name and loopback, and no other network. Creating it needs root, but no packages
on the machine. Nothing of it remains, whatever happens to the process that created it (see overlay.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from . import cgroups, roots
from .cache import OWN, WHEELS
from .overlay import TREE, HostError, Overlay, child_of, follow
from .packages import PACKAGES, layer
from .roots import SUITE

T = TypeVar("T")

SERVICES = ("rabbitmq-server.service",)

REBOOT = 133
"""How systemd-nspawn with --keep-unit ends when its host wants to be booted again."""

LAST_WORDS = "{ systemctl --no-pager --failed; systemctl --no-pager list-jobs; journalctl --no-pager -n 30; }"

AS_USER = """
user=$1; shift
id=$(id -u "$user")
exec setpriv --reuid="$id" --regid="$(id -g "$user")" --init-groups --reset-env \
    env XDG_RUNTIME_DIR="/run/user/$id" DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$id/bus" LANG=C.UTF-8 "$@"
"""

ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": os.environ.get("TERM", "dumb"),
}


class CommandError(subprocess.CalledProcessError):
    """A command in the host failed; the message has the command, the status and the output."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.stdout}{self.stderr}"


class Host:
    """The host, as a context manager: booted on entry, removed on exit.

    Only `services` start at boot: Debian's supervisor is installed, but a test has to start it. Without RabbitMQ, a
    host boots in a second or two. `packages` are the Debian packages to install; each different list needs its own
    layer (see packages.py). `suite` is the release of Debian (see roots.py).
    """

    def __init__(
        self,
        services: Sequence[str] = SERVICES,
        packages: Sequence[str] = PACKAGES,
        boot_timeout: float = 120,
        suite: str = SUITE,
    ) -> None:
        self.suite = suite
        self._services = services
        self._packages = packages
        self._boot_timeout = boot_timeout
        self._undo = ExitStack()
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._console: IO[bytes] | None = None
        self.pid = 0
        """The host's process 1, as the machine numbers it; another one after every boot."""

    def __enter__(self) -> Host:
        with ExitStack() as undo:
            self._console = undo.enter_context(tempfile.TemporaryFile("a+b"))
            self._overlay = undo.enter_context(
                Overlay(layer(self._packages, self.suite), bind=[WHEELS], root=roots.made(self.suite))
            )
            undo.callback(self._reap)
            for service in self._services:
                self._overlay.run(["systemctl", "--quiet", "enable", service], {"SYSTEMD_OFFLINE": "1"})
            self.boot()
            self.let_everyone_reach(WHEELS)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def boot(self) -> None:
        """Boot the host, also after a power-off; return when all services have started."""
        nspawn = [
            *("systemd-nspawn", "--quiet", f"--directory={TREE}", f"--bind-ro=/run/{WHEELS.name}:{WHEELS}"),
            *("--machine=procman-host", "--register=no", "--keep-unit", "--private-network", "--link-journal=no"),
            *("--console=pipe", "--boot", "systemd.unit=multi-user.target"),
        ]
        unified = () if self.suite == OWN else cgroups.UNIFIED
        inside = self._overlay.entering(["sh", "-c", cgroups.ENTER, "enter", *unified, *nspawn])
        self._nspawn = subprocess.Popen(
            [*cgroups.scope(self._overlay.name), "sh", "-c", cgroups.DIVIDE, "divide", *inside],
            env={**os.environ, "HOST_GROUPS": " ".join(map(str, cgroups.groups(self._overlay.name)))},
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait_until_booted()

    def reboot(self) -> None:
        """Restart the host as an administrator does; return when it is up again."""
        self._shut_down("systemctl reboot", expected=REBOOT)
        self.boot()

    def power_off(self) -> None:
        """Shut the host down; its files are kept for the next `boot`."""
        self._shut_down("systemctl poweroff", expected=0)

    def cut_power(self) -> None:
        """Stop all processes at once, as a power failure does; written files are kept for the next `boot`."""
        os.kill(self.pid, signal.SIGKILL)
        self._wait_until_off()

    def run(
        self,
        command: str | Sequence[str],
        user: str | None = None,
        *,
        timeout: float = 60,
        check: bool = True,
        input: str | None = None,  # noqa: A002 (as in subprocess.run)
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host (a string by its shell) in `/`, with a clean environment, as root or as `user`.

        Raises CommandError, or after `timeout` seconds TimeoutExpired; all processes of its session are then killed.
        """
        argv = self.entering(command, user, environment)
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(input, timeout)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if check and process.returncode:
            raise CommandError(process.returncode, command, out, err)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def entering(
        self, command: str | Sequence[str], user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return a command line that runs a command in the host, for callers that start processes themselves."""
        if not self.pid:
            raise HostError("the host is switched off")
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        if user is not None:
            argv = ["sh", "-c", AS_USER, "as-user", user, *_assignments(environment), *argv]
        variables = _assignments({**ENVIRONMENT, **(environment or {})})
        return ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd", "--", "env", "-i", *variables, *argv]

    def path(self, path: str | Path) -> Path:
        """Return the path of a file of the host for this process, to read it or copy to it, until the next boot.

        Symbolic links are resolved inside the host; the file itself must not be a link.
        """
        return follow(Path(f"/proc/{self.pid}/root"), path)

    def write(self, path: str | Path, text: str, *, mode: int = 0o644, owner: str = "root") -> None:
        """Write a file in the host and create its parent directories; `owner` is USER or USER:GROUP."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        self.run(["chown", owner, str(path)])

    def let_everyone_reach(self, path: str | Path) -> None:
        """Make the parent directories of `path` in the host accessible to all users, for an interpreter below /root."""
        self.run(["chmod", "a+x", *map(str, Path(path).parents)])

    @staticmethod
    def wait_for(condition: Callable[[], T], timeout: float, what: str = "") -> T:
        """Poll until the answer is true, and return it. Raises AssertionError after `timeout` seconds.

        The pauses are long, because the awaited process needs the processor itself.
        """
        deadline = time.monotonic() + timeout
        asked = time.monotonic()
        while not (answer := condition()):
            now = time.monotonic()
            if now > deadline:
                raise AssertionError(f"not within {timeout} s: {what or getattr(condition, '__name__', condition)}")
            time.sleep(max(0.1, 2 * (now - asked)))
            asked = time.monotonic()
        return answer

    def failed_units(self) -> list[str]:
        """Return the failed units."""
        listed = self.run("systemctl list-units --failed --plain --no-legend").stdout
        return [line.split()[0] for line in listed.splitlines()]

    def _wait_until_booted(self) -> None:
        assert self._nspawn is not None
        deadline = time.monotonic() + self._boot_timeout
        while time.monotonic() < deadline and self._nspawn.poll() is None:
            self.pid = self._find_init()
            if self.pid and self._is_up():
                return
            time.sleep(0.1)
        raise HostError(f"the host did not boot within {self._boot_timeout} s\n{self._last_words()}")

    def _is_up(self) -> bool:
        """Return whether the host is up; `--wait` would block for ever if systemd has not opened its bus yet."""
        if not self.path("/run/systemd/private").is_socket():
            return False
        with suppress(subprocess.TimeoutExpired):
            state = self.run("systemctl is-system-running", check=False, timeout=10).stdout.strip()
            return state in ("running", "degraded")
        return False

    def _find_init(self) -> int:
        """Find process 1 of the host, a grandchild of nsenter, which is named systemd once everything is mounted."""
        assert self._nspawn is not None
        init = child_of(child_of(self._nspawn.pid))
        with suppress(OSError):
            if Path(f"/proc/{init}/comm").read_text() == "systemd\n":
                return init
        return 0

    def _shut_down(self, command: str, expected: int) -> None:
        self.run(command, check=False)  # it may be killed before it can report success
        status = self._wait_until_off()
        if status != expected:
            raise HostError(f"systemd-nspawn ended with status {status} after {command}\n{self._last_words()}")

    def _wait_until_off(self) -> int:
        assert self._nspawn is not None
        status = self._nspawn.wait(self._boot_timeout)
        self.pid = 0
        return status

    def _reap(self) -> None:
        """Do not wait for it here: it ends with the overlay, which is removed after this."""
        if self._nspawn is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._nspawn.pid, signal.SIGKILL)
            self._nspawn.wait()

    def _last_words(self) -> str:
        assert self._console is not None
        self._console.seek(0)
        words = self._console.read()[-4000:].decode(errors="replace")
        with suppress(HostError, subprocess.TimeoutExpired):
            words += self.run(f"{LAST_WORDS} 2>&1", check=False, timeout=10).stdout
        return words


def _assignments(environment: Mapping[str, str] | None) -> list[str]:
    return [f"{name}={value}" for name, value in (environment or {}).items()]
