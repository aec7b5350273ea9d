"""Celery's command line, 4.4 to 5.7: the options that procman writes, and those it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from procman.agent.variable_rules import FORBIDDEN_OPTIONS
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
"""Options for which procman.toml has a key, with that key."""

PROJECT_KEYS = ("app", "user", "group", "directory")
"""The keys above that belong to `[project]`."""

FORBIDDEN = _by_option(FORBIDDEN_OPTIONS)
"""Options that would break one of procman's promises, each with the reason."""

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
"""Other options of Celery 4.4 to 5.7; not every version has all of them."""

SHORT_FLAGS = frozenset("BCDEhq")
"""Short options without a value, of which several can follow one dash."""


def objections(arguments: Sequence[str], kind: Kind) -> list[str]:
    """Return why words of `arguments` are not allowed in the `extra_arguments` of a worker or beat, each reason once.

    A name that resembles an option is a mistake; any other unknown name may be the app's own option (`user_options`).
    """
    # Words after `--` are settings of the app: -- worker_pool_restarts=true.
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
        return f"{name} is not allowed: {FORBIDDEN[name]}"
    key = (WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS).get(name)
    if key:
        place = " in [project]" if key in PROJECT_KEYS else ""
        return f"{name} is set with the key {key}{place}"
    return None


def _unknown(name: str, kind: Kind) -> str | None:
    known = [*(WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS), *FORBIDDEN, *OTHERS[kind]]
    if name in known:
        return None
    # Celery 4.4 accepts any unique prefix of an option (argparse).
    meant = next((each for each in known if each.startswith(name)), None) or nearest(name, known, cutoff=0.8)
    if meant is None:
        return None
    if kind is Kind.BEAT and meant in WORKER_ONLY:
        return f"celery beat has no option {name}"
    return f"Celery has no option {name}; {_refusal(meant, kind) or f'did you mean {meant}?'}"


def key_of_variable(name: str, kind: Kind) -> tuple[str, str] | None:
    """Return the option that Celery 5 reads from the variable `name`, and its key; None if there is no such key."""
    prefix = f"CELERY_{kind.value.upper()}_"
    option = "--" + name.removeprefix(prefix).replace("_", "-").lower()
    key = (WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS).get(option) if name.startswith(prefix) else None
    return None if key is None or key in PROJECT_KEYS else (option, key)


def options_of_key(key: str, kind: Kind) -> tuple[str, ...]:
    """Return the names of the option that procman writes for the key `key`."""
    return (_WORKER_KEYS if kind is Kind.WORKER else _BEAT_KEYS)[key]


def worker_arguments(app: str, worker: Worker) -> list[str]:
    """Return the arguments of `celery` for `worker`, without the word `celery` itself."""
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
    """Return the arguments of `celery` for `beat`, without the pid file that Celery 4.4 writes by default."""
    arguments = ["-A", app, "beat", "-l", beat.loglevel, "--pidfile="]
    if beat.schedule_file:
        arguments += ["-s", str(beat.schedule_file)]
    if beat.scheduler:
        arguments += ["-S", beat.scheduler]
    if beat.max_interval_seconds is not None:
        arguments.append(f"--max-interval={beat.max_interval_seconds}")
    return [*arguments, *beat.extra_arguments]
