"""The variables that would break the supervision of a program, each with the reason.

procman refuses them in `[environment]`, and the launcher refuses an environment file that sets one.
"""

from typing import Iterator, Tuple

FORBIDDEN_OPTIONS = {
    "it detaches the program from the process manager": ("-D", "--detach"),
    "a stale pid file would prevent every start; the process manager knows the pid": ("--pidfile",),
    "with a second worker, there would be a second beat: use [beat]": ("-B", "--beat"),
    "the process manager keeps and rotates the log": ("-f", "--logfile"),
    "it deletes all waiting tasks at each start": ("--purge", "--discard"),
    "the virtualenv determines the Python": ("--executable",),
    "a broker URL contains a password, and every user can read command lines: use environment_file": (
        "-b",
        "--broker",
    ),
    "it prints text and exits": ("-h", "--help", "--version"),
}
"""Options of Celery that would break one of procman's promises, by reason."""

OPTIONS_OF_USERS = {"use the keys user and group in [project]": ("--uid", "--gid")}

NOT_OF_COMMANDS = ("--broker", "--version", "--discard")
"""Options of `celery` itself, or second names, which Celery reads from no variable of the command."""

NOT_OF_BEAT = ("--beat", "--purge")

OF_CELERY_ITSELF = ("--version", "--help")

SET_BY_SYSTEMD = {
    "CREDENTIALS_DIRECTORY": "only systemd may set it, to the directory with the copy of the environment file",
    "LISTEN_FDNAMES": "only systemd may set it, for sockets that it passes on",
    "LISTEN_FDS": "only systemd may set it, for sockets that it passes on",
    "LISTEN_PID": "only systemd may set it, for sockets that it passes on",
    "MAINPID": "only systemd may set it, to the process id of the program",
    "NOTIFY_SOCKET": "only systemd may set it, and would otherwise not learn that the program has started",
    "WATCHDOG_PID": "only systemd may set it, and would otherwise end the program as stuck",
    "WATCHDOG_USEC": "only systemd may set it, and would otherwise end the program as stuck",
}
"""The environment of a unit overrides these variables of systemd's (systemd.exec(5))."""

RESERVED_PREFIX = "PROCMAN_"


def _of_celery() -> Iterator[Tuple[str, str]]:
    """Yield the variables that Celery 5 reads as forbidden options: CELERY_, the command and the option (click)."""
    for reasons in (FORBIDDEN_OPTIONS, OPTIONS_OF_USERS):
        for reason, options in reasons.items():
            for option in options:
                described = f"Celery reads it as the option {option}: {reason}"
                for prefix in _prefixes(option):
                    yield prefix + option[2:].upper(), described


def _prefixes(option: str) -> Iterator[str]:
    if option in OF_CELERY_ITSELF:
        yield "CELERY_"
    if option.startswith("--") and option not in NOT_OF_COMMANDS:
        yield "CELERY_WORKER_"
        if option not in NOT_OF_BEAT:
            yield "CELERY_BEAT_"


REFUSED = dict(_of_celery(), **SET_BY_SYSTEMD)


def refusal(name: str) -> str:
    """Return why no program may get the variable `name` from the administrator; empty if it may."""
    if name.startswith(RESERVED_PREFIX):
        return "names that start with PROCMAN_ are reserved for procman"
    return REFUSED.get(name, "")
