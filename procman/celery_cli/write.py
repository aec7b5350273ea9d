"""What procman knows of Celery's command line, 4.4 to 5.7."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from procman.model import Kind
from procman.project import Beat, Worker
from procman.suggest import nearest

_COMMON_KEYS = {
    "app": ("-A", "--app"),
    "loglevel": ("-l", "--loglevel"),
    "umask": ("--umask",),
    "user": ("--uid",),
    "group": ("--gid",),
    "directory": ("--workdir",),
}
_WORKER_KEYS = _COMMON_KEYS | {
    "queues": ("-Q", "--queues"),
    "exclude_queues": ("-X", "--exclude-queues"),
    "concurrency": ("-c", "--concurrency"),
    "pool": ("-P", "--pool"),
    "autoscale": ("--autoscale",),
    "prefetch_multiplier": ("--prefetch-multiplier",),
    "max_tasks_per_child": ("--max-tasks-per-child", "--maxtasksperchild"),
    "max_memory_per_child_kib": ("--max-memory-per-child", "--maxmemperchild"),
    "time_limit_seconds": ("--time-limit",),
    "soft_time_limit_seconds": ("--soft-time-limit",),
    "optimization": ("-O", "--optimization"),
    "events": ("-E", "--events", "--task-events"),
    "hostname": ("-n", "--hostname"),
    "without_gossip": ("--without-gossip",),
    "without_mingle": ("--without-mingle",),
    "without_heartbeat": ("--without-heartbeat",),
}
_BEAT_KEYS = _COMMON_KEYS | {
    "schedule_file": ("-s", "--schedule"),
    "scheduler": ("-S", "--scheduler"),
    "max_interval_seconds": ("--max-interval",),
}


def _by_option(table: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {option: meaning for meaning, options in table.items() for option in options}


WORKER_KEYS, BEAT_KEYS = _by_option(_WORKER_KEYS), _by_option(_BEAT_KEYS)
"""Options that have a key of their own in procman.toml, with that key."""

PROJECT_KEYS = ("app", "user", "group", "directory")
"""Those of the keys above that stand in `[project]`."""

FORBIDDEN = _by_option(
    {
        "it detaches, and the process manager would lose sight of it": ("-D", "--detach"),
        "a stale pid file keeps it from starting for ever; the process manager knows the pid": ("--pidfile",),
        "a beat inside a worker is a second beat as soon as there are two workers: use [beat]": ("-B", "--beat"),
        "the process manager keeps and rotates the log": ("-f", "--logfile"),
        "it deletes every waiting task at each start": ("--purge", "--discard"),
        "the virtualenv decides the Python": ("--executable",),
        "a broker's URL holds its password, and everybody can read a command line: use environment_file": (
            "-b",
            "--broker",
        ),
        "it prints its answer and ends": ("-h", "--help", "--version"),
    }
)
"""Options that break a promise of procman, each with the reason."""

WORKER_ONLY = frozenset({"-B", "--beat", "-D", "--purge", "--discard"})
"""The forbidden options that `celery beat` does not have."""

_COMMON_OTHERS = ("-C", "--no-color", "-q", "--quiet", "--loader", "--config", "--result-backend", "--skip-checks")
OTHERS = {
    Kind.WORKER: (
        *_COMMON_OTHERS,
        *("-S", "--statedb", "-I", "--include", "--heartbeat-interval"),
        *("-s", "--schedule", "--schedule-filename", "--scheduler", "--disable-prefetch", "--pool-start-method"),
    ),
    Kind.BEAT: (*_COMMON_OTHERS, "-n", "--hostname", "--enable-remote-control", "--no-enable-remote-control"),
}
"""What else Celery 4.4 to 5.7 knows; not every version knows each of them."""

SHORT_FLAGS = frozenset("BCDEhq")
"""Short options without a value, of which several can stand behind one dash."""


def objections(arguments: Sequence[str], kind: Kind) -> list[str]:
    """Return why words of ARGUMENTS must not stand in the `extra_arguments` of a worker or beat, each reason once.

    A name that only resembles an option is a mistake; any other unknown one may be the app's own (`user_options`).
    """
    # What follows `--` are settings of the app: -- worker_pool_restarts=true.
    options = takewhile(lambda word: word != "--", arguments)
    found = (_objection(word, kind) for word in options if word.startswith("-") and word != "-")
    return list(dict.fromkeys(each for each in found if each))


def _objection(word: str, kind: Kind) -> str | None:
    if word.startswith("--"):
        name = word.split("=", 1)[0]
        return _refusal(name, kind) or _unknown(name, kind)
    for letter in word[1:]:
        refusal = _refusal(f"-{letter}", kind)
        if refusal or letter not in SHORT_FLAGS:
            return refusal
    return None


def _refusal(name: str, kind: Kind) -> str | None:
    if kind is Kind.BEAT and name in WORKER_ONLY:
        return f"celery beat has no option {name}"
    if name in FORBIDDEN:
        return f"{name} is not possible: {FORBIDDEN[name]}"
    key = (WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS).get(name)
    if key:
        place = " in [project]" if key in PROJECT_KEYS else ""
        return f"{name} has a key of its own{place}: {key}"
    return None


def _unknown(name: str, kind: Kind) -> str | None:
    known = [*(WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS), *FORBIDDEN, *OTHERS[kind]]
    if name in known:
        return None
    # Celery 4.4 takes any beginning of an option's name for the option (argparse).
    meant = next((each for each in known if each.startswith(name)), None) or nearest(name, known, cutoff=0.8)
    if meant is None:
        return None
    if kind is Kind.BEAT and meant in WORKER_ONLY:
        return f"celery beat has no option {name}"
    return f"Celery knows no option {name}; {_refusal(meant, kind) or f'did you mean {meant}?'}"


def variable_objection(name: str) -> str | None:
    """Return why the variable NAME must not be set, from which Celery 5 would take an option; None if it may."""
    given = re.fullmatch(r"CELERY_(?:WORKER|BEAT)_(\w+)", name)
    if given is None:
        return None
    option = "--" + given[1].replace("_", "-").lower()
    reasons = FORBIDDEN | dict.fromkeys(("--uid", "--gid"), "use the keys user and group in [project]")
    return f"Celery takes it for the option {option}: {reasons[option]}" if option in reasons else None


def worker_arguments(app: str, worker: Worker) -> list[str]:
    """Return the arguments of `celery` for WORKER, without the word `celery` itself."""
    return ["-A", app, "worker", *_worker_options(worker), *worker.extra_arguments]


def _worker_options(worker: Worker) -> Iterator[str]:
    yield from ("-l", worker.loglevel)
    if worker.events:
        yield "-E"
    yield from ("-n", worker.node_name)
    choices = {
        "-Q": ",".join(worker.queues),
        "-X": ",".join(worker.exclude_queues),
        "-c": worker.concurrency,
        "-P": worker.pool,
        "-O": worker.optimization,
    }
    for option, value in choices.items():
        if value:
            yield from (option, str(value))
    if worker.autoscale:
        yield "--autoscale={},{}".format(*worker.autoscale)
    yield from _limits(worker)
    for flag in ("gossip", "mingle", "heartbeat"):
        if getattr(worker, f"without_{flag}"):
            yield f"--without-{flag}"


def _limits(worker: Worker) -> Iterator[str]:
    limits = {
        "--prefetch-multiplier": worker.prefetch_multiplier,
        "--max-tasks-per-child": worker.max_tasks_per_child,
        "--max-memory-per-child": worker.max_memory_per_child_kib,
        "--time-limit": worker.time_limit_seconds,
        "--soft-time-limit": worker.soft_time_limit_seconds,
    }
    for option, value in limits.items():
        if value is not None:
            yield f"{option}={value}"


def beat_arguments(app: str, beat: Beat) -> list[str]:
    """Return the arguments of `celery` for BEAT; no pid file, which Celery 4.4 writes unless told not to."""
    arguments = ["-A", app, "beat", "-l", beat.loglevel, "--pidfile="]
    if beat.schedule_file:
        arguments += ["-s", str(beat.schedule_file)]
    if beat.scheduler:
        arguments += ["-S", beat.scheduler]
    if beat.max_interval_seconds is not None:
        arguments.append(f"--max-interval={beat.max_interval_seconds}")
    return [*arguments, *beat.extra_arguments]
