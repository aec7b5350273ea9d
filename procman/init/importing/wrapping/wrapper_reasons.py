"""Why a wrapper is left out of an import, or why the program behind it cannot be imported."""

from __future__ import annotations

from collections.abc import Mapping

_LOCK = "the launcher's own lock keeps a second process of the program from starting on this host"
_REAPS = "the process manager starts Celery itself, signals its main process, and collects its exit status"
_NO_TERMINAL = "the process manager starts programs without a terminal"
_WAITS = "workers wait for their broker themselves; order the start of services with the key after"

DROPPED: Mapping[str, str] = {
    "exec": "",
    "command": "",
    "timeout": (
        "it ended the program after this time, whatever its tasks did, and the process manager started it again; "
        "procman has no such limit: max_tasks_per_child and memory_restart_mib replace processes gracefully, or a "
        "timer runs procman restart"
    ),
    "flock": _LOCK,
    "setlock": _LOCK,
    "single-beat": (
        f"{_LOCK}; if several hosts run this beat, enable it on one of them, or use a scheduler with a lock of its "
        "own, such as RedBeat"
    ),
    "nohup": _NO_TERMINAL,
    "setsid": _NO_TERMINAL,
    "unbuffer": "PYTHONUNBUFFERED=1 is set instead",
    "time": "procman status and health show the use of time and memory",
    "catchsegv": "set PYTHONFAULTHANDLER=1 in environment instead",
    "tini": _REAPS,
    "dumb-init": _REAPS,
    "catatonit": _REAPS,
    "systemd-cat": "under systemd the output is in the journal anyway",
    "watchmedo": "it restarts Celery when a file changes, even during a task; run procman restart after a change",
    **dict.fromkeys(("wait-for-it", "wait-for-it.sh", "wait-for", "dockerize"), _WAITS),
}
"""Wrappers that procman replaces, each with the consequence; empty: there is none."""

_ELSEWHERE = "it starts Celery in a container or on another host, where procman cannot supervise it"

REFUSED: Mapping[str, str] = {
    "xvfb-run": (
        "it stays as the parent of Celery, and does not pass signals on; run Xvfb as a [command] of its own, and set "
        "DISPLAY in environment"
    ),
    "chroot": "procman does not start programs in another root directory; keep your own unit, with RootDirectory=",
    "airflow": "its worker also serves logs, and takes options of its own: leave it to what runs it now",
    "systemd-run": "Celery runs in another unit than the one that is read",
    "start-stop-daemon": "it starts Celery in the background, where no process manager supervises it",
    "daemonize": "it starts Celery in the background, where no process manager supervises it",
    **dict.fromkeys(("docker", "docker-compose", "podman", "kubectl", "ssh", "nsenter", "lxc"), _ELSEWHERE),
}
"""Wrappers with which a program is not imported, each with the reason."""
