"""Start one program of a Django project: a Celery worker, beat, or another command of the same project.

`procman install` installs and replaces this file; do not edit it. The program's start script or systemd unit runs it
with the Python of the project's virtualenv, as the program's user:

    VIRTUALENV/bin/python launcher.py ARGS...

For a worker or beat, ARGS are Celery's arguments (`-A mysite worker -l info`); for a command, its words. Everything
else is in PROCMAN_ environment variables. With PROCMAN_KIND=reload, ARGS are the words of a command that makes a
running program reload: the launcher reads the environment file and becomes that command. Otherwise, the launcher

1. reads the environment file, if there is one; its variables override those already set. If the program has a wrapper,
   the launcher then becomes it, which becomes the launcher again (WRAPPER... PYTHON launcher.py ARGS...), in the
   environment that the wrapper has set;
2. asks the kernel for SIGTERM, later for the command's own stop signal, when the process manager dies, so that no
   orphan is left behind;
3. takes the program's lock, waiting for an earlier process that has not exited yet;
4. puts the project's directory first on sys.path and calls Celery's own main(), or becomes the command. Before that, a
   worker or beat gets a heartbeat (heartbeat.py beside this file), which reports its health from then on.

All of this happens in one process that keeps its pid: signals reach Celery itself, and the exit status is that of
Celery or the command. Status 78, with the reason on stderr, means that the launcher could not start the program.
"""

import errno
import fcntl
import importlib
import importlib.util
import json
import os
import re
import signal
import socket
import sys
import time
import types
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

# EX_CONFIG of sysexits.h. Celery uses 0, 1, 64, 69 and 73, so 78 is never Celery's.
EXIT_CANNOT_START = 78

RELOAD = "reload"
KINDS = ("worker", "beat", "command", RELOAD)
REQUIRED_VARIABLES = ("PROCMAN_PROGRAM", "PROCMAN_KIND", "PROCMAN_DIRECTORY", "PROCMAN_RUN_DIRECTORY")
STARTED_AGAIN = "PROCMAN_STARTED_AGAIN"
WRAPPED = "PROCMAN_WRAPPED"
UNWRAPPED_PATH = "PROCMAN_UNWRAPPED_PYTHONPATH"

LOCK_ATTEMPT_SECONDS = 0.2
LOCK_MESSAGE_SECONDS = 300
PUT_OFF_SECONDS = 5

PR_SET_PDEATHSIG = 1  # linux/prctl.h

PACKAGE = "procman_agent"
"""The package name for the files beside this one; no project has a package of this name."""


class LauncherError(Exception):
    """The program cannot be started; the message is for the administrator who reads the log."""


def report(message: str) -> None:
    print(f"{os.environ.get('PROCMAN_PROGRAM') or 'launcher'}: {message}", file=sys.stderr, flush=True)


# What to start -------------------------------------------------------------------------------------------------------


class Settings(NamedTuple):
    """The PROCMAN_ variables that the start script or unit sets."""

    kind: str
    directory: str
    run_directory: str
    environment_file: Optional[str]
    """The path to show in messages."""
    environment_source: Optional[str]
    """The path to read: the same, or the copy that systemd made for this program alone."""
    parent_pid: Optional[int]
    wrapper: List[str]
    stop_signal: signal.Signals


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the PROCMAN_ variables; an empty one counts as not set."""
    missing = [name for name in REQUIRED_VARIABLES if not environment.get(name)]
    if missing:
        raise LauncherError(f"not set: {', '.join(missing)}; start this program through its start script or unit")
    kind = environment["PROCMAN_KIND"]
    if kind not in KINDS:
        raise LauncherError(f"PROCMAN_KIND is {kind!r}, but must be one of {', '.join(KINDS)}")
    stop_signal = environment.get("PROCMAN_STOP_SIGNAL") or "TERM"
    if f"SIG{stop_signal}" not in signal.Signals.__members__:
        raise LauncherError(f"PROCMAN_STOP_SIGNAL is {stop_signal!r}, but must be the name of a signal")
    parent_pid = environment.get("PROCMAN_PARENT_PID") or None
    if parent_pid is not None and not re.fullmatch("[0-9]+", parent_pid):
        raise LauncherError(f"PROCMAN_PARENT_PID is {parent_pid!r}, but must be a process id")
    return Settings(
        kind=kind,
        directory=environment["PROCMAN_DIRECTORY"],
        run_directory=environment["PROCMAN_RUN_DIRECTORY"],
        environment_file=environment.get("PROCMAN_ENVIRONMENT_FILE") or None,
        environment_source=_environment_source(environment),
        parent_pid=None if parent_pid is None else int(parent_pid),
        wrapper=_wrapper(environment.get("PROCMAN_WRAPPER") or "[]"),
        stop_signal=signal.Signals[f"SIG{stop_signal}"],
    )


def _wrapper(text: str) -> List[str]:
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise LauncherError(f"PROCMAN_WRAPPER is {text!r}, but must be a JSON array of words")
    return words


def _environment_source(environment: Mapping[str, str]) -> Optional[str]:
    if environment.get("PROCMAN_ENVIRONMENT_COPY"):
        # Of a worker that overlaps: systemd's own copy below stays as it was when the unit started.
        return environment["PROCMAN_ENVIRONMENT_COPY"]
    credential = environment.get("PROCMAN_ENVIRONMENT_CREDENTIAL")
    if not credential:
        return environment.get("PROCMAN_ENVIRONMENT_FILE") or None
    # systemd.exec(5), LoadCredential=.
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise LauncherError(f"not set: CREDENTIALS_DIRECTORY; systemd sets it when it passes {credential!r}")
    return os.path.join(directory, credential)


# 1. The environment file ---------------------------------------------------------------------------------------------


def apply_environment_file(source: str, name: str) -> None:
    """Set the file's variables; if one of them is new, execute the launcher again in the same process.

    Python and the dynamic loader read PYTHONPATH, LD_LIBRARY_PATH, LANG and others only when they start. The second
    time all variables are set and the launcher continues; STARTED_AGAIN prevents a third time even if a variable does
    not keep its value, such as LC_CTYPE=C (PEP 538).
    """
    try:
        beside = import_beside("environment_file")
    except ImportError as error:
        raise LauncherError(f"{error}; run `procman install` to restore the file") from error
    try:
        found = beside.read_environment_file(source, name)
    except beside.UnusableFileError as error:
        raise LauncherError(str(error)) from error
    variables = {variable.encode(): value.encode() for variable, value in found.items()}
    is_new = any(os.environb.get(variable) != value for variable, value in variables.items())
    started_again = os.environ.pop(STARTED_AGAIN, None)
    os.environb.update(variables)
    if is_new and not started_again:
        os.environ[STARTED_AGAIN] = "1"
        os.execv(sys.executable, [sys.executable] + sys.argv)  # noqa: S606  # our own file, by our own Python


# The wrapper ---------------------------------------------------------------------------------------------------------
# A wrapper such as ddtrace-run sets variables that Python reads when it starts, and executes the command behind it. It
# sees the variables of the environment file, and what it sets itself overrides them. The process keeps its pid, which
# the process manager signals and whose notifications systemd accepts.
# On HUP Celery executes the launcher again, and all of this happens again. The wrapper then gets the PYTHONPATH of the
# first time: ddtrace-run would add its directory once more, newrelic-admin would leave out the project's (measured with
# ddtrace 4.16 and newrelic 14.1).


def become_wrapper(wrapper: List[str]) -> None:
    """Replace this process with the wrapper, which replaces itself with the launcher; never returns."""
    os.environ[WRAPPED] = str(os.getpid())
    os.environ[UNWRAPPED_PATH] = os.environ.get("PYTHONPATH", "")
    execute(wrapper + [sys.executable] + sys.argv)


def is_wrapped(wrapper: List[str]) -> bool:
    """Return whether the wrapper has run, once for each time; raise if it started this process as its child."""
    pid = os.environ.pop(WRAPPED, None)
    if pid is None and UNWRAPPED_PATH in os.environ:
        os.environ["PYTHONPATH"] = os.environ.pop(UNWRAPPED_PATH)
    if pid is not None and pid != str(os.getpid()):
        raise LauncherError(
            f"the wrapper {wrapper[0] if wrapper else '(none)'} started this process as its child instead of replacing "
            f"itself with it (exec), so signals would not reach Celery; change the key wrapper in procman.toml"
        )
    return pid is not None


# 2. The death of the process manager ---------------------------------------------------------------------------------


def end_with_parent(parent_pid: int, stop_signal: signal.Signals) -> None:
    """Make the kernel send `stop_signal` to this process when its parent dies; raise if the parent is already dead.

    Without it the children of a killed supervisord live on, and the next supervisord starts a second set. The request
    survives an exec and is not inherited by children (prctl(2)).
    """
    try:
        import ctypes  # an optional part of Python

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(stop_signal)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except (ImportError, AttributeError, OSError) as error:
        report(f"cannot request a parent-death signal; this program will outlive a killed process manager: {error}")
    # Checked last: a parent that died before the request sends nothing.
    if os.getppid() != parent_pid:
        raise LauncherError(f"process {parent_pid}, which started this program, has already exited")


# 3. The lock ---------------------------------------------------------------------------------------------------------
# A POSIX record lock (fcntl.lockf), not an flock, because it belongs to the process and not to the open file:
# - Children do not hold it. A pool child that outlives a killed worker would keep an flock and block the next start.
# - It survives exec while the descriptor stays open: a command that replaces the launcher holds it, but no child does.
# - On HUP Celery closes every descriptor and executes the launcher again, which takes the lock again.
# Its drawback: it is lost when this process closes *any* descriptor of the file, so nothing else may open the file.
# The file is never deleted: otherwise two processes could each hold a lock of the same name.


def take_lock(path: str) -> int:
    """Wait until this process alone holds the lock at `path`; return the descriptor, which must stay open."""
    descriptor = _open_lock(path)
    message_due = put_off_due = time.monotonic()
    while not _try_lock(descriptor, path):
        reason = f"waiting for process {_holder(descriptor)} of the same program to exit (it holds the lock {path})"
        if time.monotonic() >= message_due:
            report(reason)
            message_due = time.monotonic() + LOCK_MESSAGE_SECONDS
        if time.monotonic() >= put_off_due:
            put_off_start(reason)
            put_off_due = time.monotonic() + PUT_OFF_SECONDS
        time.sleep(LOCK_ATTEMPT_SECONDS)
    _write_holder(descriptor)
    return descriptor


def _open_lock(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LauncherError(
            f"cannot open the lock {path}: {error.strerror}. It must be a regular file owned by uid {os.geteuid()}, in "
            "a directory of the same user; run `procman install` to create the directory."
        ) from error


def _try_lock(descriptor: int, path: str) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise LauncherError(f"cannot lock {path}: {error.strerror}") from error
    return True


def _holder(descriptor: int) -> str:
    words = os.pread(descriptor, 32, 0).split()
    return words[0].decode("ascii", "replace") if words else "(unknown)"


def _write_holder(descriptor: int) -> None:
    try:
        length = os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        os.ftruncate(descriptor, length)
    except OSError as error:  # a full disk; the lock is held all the same
        report(f"cannot write the pid to the lock file: {error.strerror}")


# 4. The program ------------------------------------------------------------------------------------------------------


def become_command(arguments: List[str], settings: Settings, lock: int) -> None:
    """Replace this process with the command, under its wrapper; never returns."""
    if settings.parent_pid is not None and settings.stop_signal != signal.SIGTERM:
        # Only now: while it waits for the lock, the launcher itself could ignore this signal.
        end_with_parent(settings.parent_pid, settings.stop_signal)
    os.set_inheritable(lock, True)
    execute_command(arguments, settings.wrapper)


def execute_command(arguments: List[str], wrapper: List[str]) -> None:
    """Replace this process with the command, or with its reload command, under its wrapper; never returns."""
    if not arguments:
        raise LauncherError("no command is given")
    os.environ.setdefault("PROCMAN_INSTANCE", "1")
    execute(wrapper + arguments)


def execute(arguments: List[str]) -> None:
    """Replace this process; the first word is searched for in PATH."""
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execvpe(arguments[0], arguments, os.environ)  # noqa: S606  # the command of procman.toml
    except OSError as error:
        path = os.environ.get("PATH", "not set")
        raise LauncherError(f"cannot run {arguments[0]}: {error.strerror} (PATH is {path})") from error


def put_first(directory: str, search_path: Sequence[str]) -> List[str]:
    """Return `search_path` with `directory` in place of the launcher's own directory.

    Python puts the script's directory first, where a `celery.py` would hide Celery. With PYTHONSAFEPATH it does not,
    and nothing is replaced.
    """
    own_directory = os.path.dirname(os.path.realpath(__file__))
    has_own = bool(search_path) and os.path.realpath(search_path[0]) == own_directory
    return [directory] + list(search_path[1:] if has_own else search_path)


def import_celery_main() -> Any:
    """Return the module whose main() the `celery` command calls; it patches for gevent and eventlet before the app is
    imported."""
    try:
        return importlib.import_module("celery.__main__")
    except ImportError as error:
        found = importlib.util.find_spec("celery")
        origin = f"the module found is {found.origin}" if found else "Celery is not installed there"
        raise LauncherError(f"cannot import Celery with {sys.executable}: {error} ({origin})") from error


# 5. The files beside this one ----------------------------------------------------------------------------------------
# Except for the environment file's reader, they must never keep a program from running: a failure is reported, and the
# program runs without.


def import_beside(name: str) -> Any:
    """Import a file beside this one, in a package of its own so that the project and the agent cannot hide each other.

    No bytecode is written, so that the directory is empty once its files are removed.
    """
    if PACKAGE not in sys.modules:
        package = types.ModuleType(PACKAGE)
        package.__path__ = [os.path.dirname(os.path.realpath(__file__))]
        sys.modules[PACKAGE] = package
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return importlib.import_module(f"{PACKAGE}.{name}")
    finally:
        sys.dont_write_bytecode = before


def put_off_start(reason: str) -> None:
    """Keep systemd from ending the start; without a notification socket this does nothing."""
    try:
        import_beside("sd_notify").Systemd(os.environ).put_off(reason)
    except Exception as error:
        report(f"cannot ask systemd for more time to start: {error!r}")


def start_heartbeat() -> Any:
    """Start the heartbeat and return it; return None if it cannot start."""
    try:
        return import_beside("heartbeat").start(os.environ)
    except Exception as error:
        report(f"cannot start the heartbeat; the program runs, but its health is unknown: {error!r}")
        _notify_systemd_without_heartbeat()
        return None


def _notify_systemd_without_heartbeat() -> None:
    address = os.environ.get("PROCMAN_NOTIFY_SOCKET") or os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1\nWATCHDOG_USEC=0", "\0" + address[1:] if address[0] == "@" else address)
    except OSError as error:
        report(f"cannot notify systemd that this program has started: {error}")


def main() -> Optional[int]:
    """Start the program as described at the top of this file; return the exit status if Celery does not exit itself."""
    try:
        settings = read_settings(os.environ)
        wrapped = is_wrapped(settings.wrapper)
        if settings.environment_source is not None and not wrapped:
            apply_environment_file(
                settings.environment_source, settings.environment_file or settings.environment_source
            )
        if settings.kind == RELOAD:
            execute_command(sys.argv[1:], [])
        if settings.wrapper and not wrapped and settings.kind != "command":
            become_wrapper(settings.wrapper)
        if settings.parent_pid is not None:
            end_with_parent(settings.parent_pid, signal.SIGTERM)
        lock = take_lock(os.path.join(settings.run_directory, "lock"))
        if settings.kind == "command":
            become_command(sys.argv[1:], settings, lock)
        sys.path[:] = put_first(settings.directory, sys.path)
        heartbeat = start_heartbeat()
        celery = import_celery_main()
    except LauncherError as error:
        for line in str(error).splitlines():
            report(line)
        return EXIT_CANNOT_START
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if heartbeat is not None:
        heartbeat.follow(celery)
    status: Optional[int] = celery.main()
    return status


# billiard imports the main module again in the children of some pools, which must not start the program again.
if __name__ == "__main__":
    sys.exit(main())
