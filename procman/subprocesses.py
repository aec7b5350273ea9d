"""The only module that spawns processes: with a time limit, without a shell, with the fewest privileges."""

from __future__ import annotations

import contextlib
import grp
import io
import os
import pwd
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn, TypedDict

from procman.errors import ProcmanError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH that systemd gives its services (systemd.exec(5)); used under supervisord too, instead of its own."""

CLEAN_ENVIRONMENT = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}
"""The environment of a process that must not see the caller's."""

MAX_BYTES = 8 * 1024**2
"""The limit of the output on each stream: a process that prints more is endless, or attacks procman's memory (S3)."""

QUIET_SECONDS = 0.5
"""How long the pipes of a process that has ended may be quiet before its output counts as complete."""

CHANGES_DIRECTORY = ("/bin/sh", "-c", 'cd -- "$0" && exec "$@"')
"""Runs the words behind it in the directory that is the first of them."""

PIPE_BYTES = 64 * 1024
"""The capacity of a pipe (pipe(7))."""


@dataclass(frozen=True)
class Completed:
    """A process that has ended."""

    argv: tuple[str, ...]
    status: int
    """The return code of `subprocess`: negative for the signal that killed it."""
    stdout: str
    stderr: str

    def checked(self) -> Completed:
        """Return this if the status is 0; else raise ProcmanError with the command, its status and last lines."""
        if self.status == 0:
            return self
        lines = (self.stderr or self.stdout).strip().splitlines()[-5:]
        ending = f"exited with status {self.status}" if self.status > 0 else f"was killed by signal {-self.status}"
        from procman.secrets import masked  # only for mistakes

        raise ProcmanError(f"{_shown(self.argv)} {ending}", hint=masked("\n".join(lines)))


class _Credentials(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def capture(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path = Path("/"),
    user: str | None = None,
    group: str | None = None,
    umask: int = -1,
    timeout: float,
    stdin: str = "",
    errors: str = "backslashreplace",
) -> Completed:
    """Run `argv` and return its output; as `user`, with only that user's groups, if one is named.

    `errors` is how bytes of its standard output that are not UTF-8 are decoded.

    A `umask` of -1 is procman's own. This returns when `argv` has ended, even if a process that it started runs on.
    After `timeout` seconds or `MAX_BYTES`, it is killed with everything it started, and ProcmanError is raised.
    """
    pipe = subprocess.PIPE
    credentials = _credentials(user, group)
    process = _start(
        argv, environment, credentials, directory=directory, umask=umask, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        stdout, stderr = _converse(process, stdin.encode(), time.monotonic() + timeout)
    except (TimeoutError, subprocess.TimeoutExpired):
        _kill_session(process)
        raise ProcmanError(f"{_shown(argv)} did not finish within {timeout:g} s and was killed") from None
    except _Endless:
        _kill_session(process)
        raise ProcmanError(f"{_shown(argv)} printed more than {MAX_BYTES // 1024**2} MiB and was killed") from None
    except BaseException:
        _kill_session(process)
        raise
    texts = stdout.decode("utf-8", errors), stderr.decode("utf-8", "backslashreplace")
    return Completed(tuple(argv), process.returncode, *texts)


def _start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    credentials: _Credentials,
    *,
    directory: Path = Path("/"),
    umask: int = -1,
    stdin: int,
    stdout: int,
    stderr: int | IO[str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` in a new session, so that `_kill_session` finds all processes that it starts."""
    words, start = argv, directory
    if credentials and directory != Path("/"):
        # Python changes the directory before the user: root would pass directories that are closed to that user (S3).
        words, start = (*CHANGES_DIRECTORY, str(directory), *argv), Path("/")
    try:
        return subprocess.Popen(
            words,
            env=dict(environment),
            cwd=start,
            umask=umask,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            **credentials,
        )
    except OSError as error:
        raise ProcmanError(f"cannot run {_shown(argv)}: {error.strerror}") from None


class _Endless(Exception):
    """A process printed more than `MAX_BYTES`."""


def _converse(process: subprocess.Popen[bytes], stdin: bytes, deadline: float) -> tuple[bytearray, bytearray]:
    # Like Popen.communicate, which has no limit of the output.
    assert process.stdin
    assert process.stdout
    assert process.stderr
    heard = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with process.stdin, process.stdout, process.stderr, selectors.DefaultSelector() as waiting:
        waiting.register(process.stdin, selectors.EVENT_WRITE)
        for descriptor in heard:
            waiting.register(descriptor, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(min(_left(deadline), QUIET_SECONDS))
            if not ready and process.poll() is not None:
                # Something that it started, and left behind, has the pipes too: a daemon, which may be wanted.
                break
            for key, _ in ready:
                if key.fd in heard:
                    is_over = not _hear(key.fd, heard[key.fd])
                else:
                    stdin = _tell(key.fd, stdin)
                    is_over = not stdin
                if is_over:
                    waiting.unregister(key.fileobj)
                if is_over and key.fileobj is process.stdin:
                    process.stdin.close()
        process.wait(_left(deadline))
    out, errors = heard.values()
    return out, errors


def _hear(descriptor: int, heard: bytearray) -> bytes:
    """Read the available output, append it to `heard` and return it; empty at the end."""
    more = os.read(descriptor, PIPE_BYTES)
    heard += more
    if len(heard) > MAX_BYTES:
        raise _Endless
    return more


def _tell(descriptor: int, text: bytes) -> bytes:
    """Write as much of `text` as the pipe takes at once, and return the rest; empty if the reader has closed it."""
    try:
        return text[os.write(descriptor, text[: select.PIPE_BUF]) :]
    except BrokenPipeError:
        return b""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def stream(argv: Sequence[str], *, environment: Mapping[str, str]) -> Generator[str, None, None]:
    """Run `argv` and yield its output line by line; closing the generator kills it with everything it started.

    ProcmanError if it cannot be run, or if its status is not 0.
    """
    # Imported only here, because `status`, which runs systemctl, waits for every import.
    import tempfile

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as errors:
        process = _start(argv, environment, {}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout
        try:
            yield from io.TextIOWrapper(process.stdout, encoding="utf-8", errors="backslashreplace")
            status = process.wait()
        finally:
            _kill_session(process)
        errors.seek(0)
        Completed(tuple(argv), status, "", errors.read()).checked()


class Begun:
    """A process in the background, with a time limit."""

    def __init__(self, process: subprocess.Popen[bytes], words: str, deadline: float) -> None:
        self.words = words
        """Its command line, without passwords."""
        self._process = process
        self._deadline = deadline

    def status(self) -> int | None:
        """Return its status, as `Completed` has it; None while it runs. Kill it if its time is up."""
        if self._process.poll() is None and time.monotonic() > self._deadline:
            _kill_session(self._process)
        return self._process.poll()


def begin(
    argv: Sequence[str], *, environment: Mapping[str, str], user: str | None, stdin: str, timeout: float
) -> Begun:
    """Start `argv` in /, as `user` if named, with a short `stdin`; its output goes to procman's standard error.

    `Begun.status` kills it with everything it started after `timeout` seconds.
    """
    reading, writing = os.pipe()
    try:
        # It fits into the pipe, so the write does not block.
        os.write(writing, stdin.encode()[:PIPE_BYTES])
        process = _start(argv, environment, _credentials(user, None), stdin=reading, stdout=2)
    finally:
        os.close(reading)
        os.close(writing)
    return Begun(process, _shown(argv), time.monotonic() + timeout)


def replace_process(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    user: str | None,
    group: str | None,
    umask: int,
    nice: int,
) -> NoReturn:
    """Replace this process by `argv`, as `user` if named; root privileges are dropped for good."""
    import shutil

    credentials = _credentials(user, group)
    path = shutil.which(argv[0], path=environment.get("PATH", os.defpath)) or argv[0]
    try:
        os.nice(nice)
        if credentials:
            os.setgroups(credentials["extra_groups"])
            os.setresgid(*[credentials["group"]] * 3)
            os.setresuid(*[credentials["user"]] * 3)
        os.chdir(directory)
        os.umask(umask)
        os.execve(path, list(argv), dict(environment))
    except OSError as error:
        raise ProcmanError(f"cannot run {_shown(argv)} in {directory}: {error.strerror}") from None


def _credentials(user: str | None, group: str | None) -> _Credentials:
    if user is None:
        return {}
    try:
        entry = pwd.getpwnam(user)
        gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError as error:
        raise ProcmanError(str(error.args[0]), hint="Fix the keys user and group in [project].") from None
    if entry.pw_uid == 0:
        raise ProcmanError(
            f"{user} is root, and procman never runs the project's code as root", hint="Name another user."
        )
    if os.geteuid() == entry.pw_uid and os.getegid() == gid:
        return {}
    if os.geteuid() != 0:
        raise ProcmanError(f"only root can run a program as {user}", hint="Run the same command with sudo.")
    return {"user": entry.pw_uid, "group": gid, "extra_groups": os.getgrouplist(user, gid)}


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)


def _shown(argv: Sequence[str]) -> str:
    from procman.secrets import masked_command  # only for mistakes

    return masked_command(argv)
