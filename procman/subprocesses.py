"""The only module that spawns processes: with a time limit, without a shell, with no more rights than asked for."""

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
from procman.secrets import masked

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What systemd gives its services (systemd.exec(5)); the same under supervisord, which would pass on its own."""

CLEAN_ENVIRONMENT = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}
"""What a process gets that should see nothing of the caller's."""

MAX_BYTES = 8 * 1024**2
"""How much a process may say on each stream: what says more does not end, or is after procman's memory (S3)."""

PIPE_BYTES = 64 * 1024
"""What Linux keeps for a reader that does not read yet (pipe(7))."""


@dataclass(frozen=True)
class Completed:
    """A process that has ended."""

    argv: tuple[str, ...]
    status: int
    """As subprocess has it: negative for the signal that ended it."""
    stdout: str
    stderr: str

    def checked(self) -> Completed:
        """Return this if the status is 0; else raise ProcmanError with the command, its status and its last lines."""
        if self.status == 0:
            return self
        lines = (self.stderr or self.stdout).strip().splitlines()[-5:]
        raise ProcmanError(f"{_shown(self.argv)} ended with status {self.status}", hint="\n".join(lines))


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
    timeout: float,
    stdin: str = "",
) -> Completed:
    """Run ARGV and return what it said; as USER with that user's groups only, if named.

    After TIMEOUT seconds or MAX_BYTES it and everything it started is killed, and ProcmanError raised.
    """
    pipe = subprocess.PIPE
    credentials = _credentials(user, group)
    process = _start(argv, environment, credentials, directory=directory, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        stdout, stderr = _converse(process, stdin.encode(), time.monotonic() + timeout)
    except (TimeoutError, subprocess.TimeoutExpired):
        _kill_session(process)
        raise ProcmanError(f"{_shown(argv)} gave no answer within {timeout:g} s and was killed") from None
    except _Endless:
        _kill_session(process)
        raise ProcmanError(f"{_shown(argv)} printed more than {MAX_BYTES // 1024**2} MiB and was killed") from None
    except BaseException:
        _kill_session(process)
        raise
    return Completed(tuple(argv), process.returncode, stdout, stderr)


def _start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    credentials: _Credentials,
    *,
    directory: Path = Path("/"),
    stdin: int,
    stdout: int,
    stderr: int | IO[str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ARGV in a session of its own, by which `_kill_session` finds all that it starts."""
    try:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            cwd=directory,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            **credentials,
        )
    except OSError as error:
        raise ProcmanError(f"cannot run {_shown(argv)}: {error.strerror}") from None


class _Endless(Exception):
    """A process has said more than MAX_BYTES."""


def _converse(process: subprocess.Popen[bytes], stdin: bytes, deadline: float) -> tuple[str, str]:
    # As Popen.communicate does, which would keep whatever it is told.
    assert process.stdin
    assert process.stdout
    assert process.stderr
    heard = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with process.stdin, process.stdout, process.stderr, selectors.DefaultSelector() as waiting:
        waiting.register(process.stdin, selectors.EVENT_WRITE)
        for descriptor in heard:
            waiting.register(descriptor, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select(_left(deadline)):
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
    out, errors = (each.decode("utf-8", "backslashreplace") for each in heard.values())
    return out, errors


def _hear(descriptor: int, heard: bytearray) -> bytes:
    """Read what is there and add it to what was HEARD; return it, or nothing at the end."""
    more = os.read(descriptor, PIPE_BYTES)
    heard += more
    if len(heard) > MAX_BYTES:
        raise _Endless
    return more


def _tell(descriptor: int, text: bytes) -> bytes:
    """Write what of TEXT a pipe takes at once, and return the rest; nothing if nobody reads any more."""
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
    """Run ARGV and yield its output line by line as it comes; once closed, it and everything it started is killed.

    ProcmanError if it cannot be run, or ends with another status than 0.
    """
    # Imported only now: `status` asks systemctl, and waits for every import.
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
    """A process that goes on by itself, for a limited time."""

    def __init__(self, process: subprocess.Popen[bytes], words: str, deadline: float) -> None:
        self.words = words
        """Its command line, without passwords."""
        self._process = process
        self._deadline = deadline

    def status(self) -> int | None:
        """Return its status as subprocess has it; None while it runs. It is killed once its time is over."""
        if self._process.poll() is None and time.monotonic() > self._deadline:
            _kill_session(self._process)
        return self._process.poll()


def begin(
    argv: Sequence[str], *, environment: Mapping[str, str], user: str | None, stdin: str, timeout: float
) -> Begun:
    """Start ARGV in /, as USER if named, with STDIN, which is short; its output goes to our standard error.

    It and what it starts is killed after TIMEOUT seconds, by `Begun.status`.
    """
    reading, writing = os.pipe()
    try:
        # Less than a pipe holds: nobody waits.
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
    """Become ARGV, as USER if named, for good: there is no way back to root."""
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
        raise ProcmanError(str(error.args[0]), hint="Mend the keys user and group in [project].") from None
    if entry.pw_uid == 0:
        raise ProcmanError(f"{user} is root, who runs nothing of the project's", hint="Name another user.")
    if os.geteuid() == entry.pw_uid and os.getegid() == gid:
        return {}
    if os.geteuid() != 0:
        raise ProcmanError(f"only root can run something as {user}", hint="Run the same command with sudo.")
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
    return masked(" ".join(argv))
