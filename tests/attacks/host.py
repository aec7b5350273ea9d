"""A disposable host to attack: an overlay of the machine's root, with a real root and a hostile service user.

No systemd runs in it. It starts in a tenth of a second, and every change in it can be listed.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import pytest

from procman.cli.main import COMMANDS
from tests.host.overlay import TREE, UPPER, HostError, Overlay

REPOSITORY = Path(__file__).parents[2]

SERVICE, STRANGER = "celery", "stranger"
"""The user that the programs run as, and an unrelated user."""

USERS = {SERVICE: 2991, STRANGER: 2992}

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CONFIGURATION = "/etc/catmaid/procman.toml"

TOML = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/venv"
user = "celery"
{project}

[defaults.program]
start_seconds = 0

[command.one]
argv = ["sleep", "1000"]

[command.two]
argv = ["sleep", "1000"]

[supervisor]
mode = "embedded"
{rest}
"""

CANARIES = {"/etc/canary": 0o600, "/etc/canary.d/file": 0o640, "/root/canary": 0o600}
"""Files of root, with their modes, that nothing may read, change or remove."""

CANARY = "the canary sings\n"

READING = ("status", "health", "history", "events", "check")
"""Commands that change nothing."""

HANGS_SECONDS = 120
"""Far longer than any command takes."""


class AttackedHost:
    """The host, as a context manager. `procman` on its PATH is the checkout's; the programs only sleep."""

    def __init__(self) -> None:
        self.overlay = Overlay(bind=[REPOSITORY])
        self._undo = ExitStack()

    def __enter__(self) -> AttackedHost:
        self._undo.enter_context(self.overlay)
        checkout, self.python = self.seen(REPOSITORY), self.seen(sys.executable)
        # As pip writes a console script: the working directory is not on sys.path.
        script = f"import sys\nsys.path.insert(0, {checkout!r})\nfrom procman.__main__ import main\nmain()\n"
        self.write("/usr/local/lib/procman-under-test.py", script)
        self.write(
            "/usr/local/bin/procman", f'#!/bin/sh\nexec {self.python} -B /usr/local/lib/procman-under-test.py "$@"\n'
        )
        self.root("chmod 755 /usr/local/bin/procman")
        for name, uid in USERS.items():
            for file, line in (
                ("passwd", f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh"),
                ("group", f"{name}:x:{uid}:"),
            ):
                self.root(f"echo {line} >> /etc/{file}")
        self.root("mkdir -p /opt/venv/bin /opt/catmaid && chown celery /opt/catmaid")
        self.root("ln -s /usr/bin/python3 /opt/venv/bin/python")
        for path, mode in CANARIES.items():
            self.write(path, CANARY, mode)
        self.configure()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @staticmethod
    def seen(path: str | Path) -> str:
        """Return the path on the host of a file of the checkout."""
        return str(path).replace(str(REPOSITORY), f"/run/{REPOSITORY.name}", 1)

    def path(self, path: str) -> Path:
        """Return the path for this process of `path` on the host."""
        return self.overlay.path(path)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file as root."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def configure(self, project: str = "", rest: str = "", text: str = TOML) -> None:
        """Write procman.toml, with additional lines in `[project]` and additional tables."""
        self.write(CONFIGURATION, text.replace("{project}", project).replace("{rest}", rest))

    def start(
        self, command: str, user: str = "root", environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a shell command on the host as `user`."""
        become = (
            ["setpriv", f"--reuid={USERS[user]}", f"--regid={USERS[user]}", "--clear-groups"] if user in USERS else []
        )
        # The checkout may belong to another user; as with sudo, root then trusts that user, too.
        behind = {"SUDO_UID": str(REPOSITORY.stat().st_uid)}
        return subprocess.Popen(
            self.overlay.entering([*become, "sh", "-c", command]),
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **behind, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    def run(
        self, command: str, user: str, *, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host as `user`."""
        with self.start(command, user, environment) as process:
            try:
                out, err = process.communicate(timeout=HANGS_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"hangs: {command}") from None
        assert not check or process.returncode == 0, f"{command}: status {process.returncode}\n{out}{err}"
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def root(self, command: str) -> str:
        """Run a command as root, which must succeed."""
        return self.run(command, "root").stdout

    def service(self, command: str) -> str:
        """Run a command as the service user, which must succeed."""
        return self.run(command, SERVICE).stdout

    def procman(
        self,
        words: str,
        *,
        user: str = "root",
        check: bool = True,
        directory: str = "/",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a procman command for the project."""
        if words.startswith("install"):
            words += " --no-check"  # the project has no app that could run
        command = f"cd {directory} && exec procman --config {CONFIGURATION} {words}"
        done = self.run(command, user, check=check, environment=environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def look(self) -> Iterator[tuple[str, subprocess.CompletedProcess[str]]]:
        """Run as root every command that changes nothing."""
        for verb in READING:
            if verb in COMMANDS:
                yield verb, self.procman(verb, check=False)

    def changed(self) -> dict[str, tuple[int, int, str]]:
        """Return uid, mode and kind of everything that differs from the machine, by path."""
        upper = self.path(UPPER)
        found = {}
        # Files that vanish meanwhile are skipped.
        for directory, _, _, descriptor in os.fwalk(upper):
            for name in os.listdir(descriptor):  # noqa: PTH208 - by descriptor
                with suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    path = "/" + str(Path(directory, name).relative_to(upper))
                    found[path] = (status.st_uid, stat.S_IMODE(status.st_mode), stat.filemode(status.st_mode)[0])
        return found

    def assert_untouched(self) -> None:
        """Check that root's files are unchanged: content, mode, owner and number of names."""
        for name, mode in CANARIES.items():
            path = self.path(f"{TREE}{name}")
            status = path.lstat()
            assert (path.read_text(), stat.S_IMODE(status.st_mode), status.st_uid) == (CANARY, mode, 0), name
        assert [path.name for path in self.path("/etc/canary.d").iterdir()] == ["file"]

    def asleep(self) -> list[int]:
        """Return the processes of the project's programs that have executed their final command."""
        return [
            pid for pid in self.pids("sleep") if self.path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")
        ]

    def pids(self, argument: str) -> list[int]:
        """Return the host's own ids of its processes with `argument` in their command line."""
        found = []
        for path in self.path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if argument.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return found


def attacked_hosts() -> Iterator[AttackedHost]:
    """Yield one host; if none can be created, skip the test, or fail it with CI=true."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to create a host and its users")
    with ExitStack() as stack:
        try:
            host = stack.enter_context(AttackedHost())
        except HostError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"cannot create a host: {error}")
        yield host
