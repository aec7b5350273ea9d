"""What procman knows of Celery's command line, 4.4 to 5.7."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Beat, Worker

OWN_KEYS = {
    "-A": "app",
    "--app": "app",
    "-l": "loglevel",
    "--loglevel": "loglevel",
    "-Q": "queues",
    "--queues": "queues",
    "-X": "exclude_queues",
    "--exclude-queues": "exclude_queues",
    "-c": "concurrency",
    "--concurrency": "concurrency",
    "-P": "pool",
    "--pool": "pool",
    "--autoscale": "autoscale",
    "--prefetch-multiplier": "prefetch_multiplier",
    "--max-tasks-per-child": "max_tasks_per_child",
    "--max-memory-per-child": "max_memory_per_child_kib",
    "--time-limit": "time_limit_seconds",
    "--soft-time-limit": "soft_time_limit_seconds",
    "-O": "optimization",
    "--optimization": "optimization",
    "-E": "events",
    "--events": "events",
    "--task-events": "events",
    "-n": "hostname",
    "--hostname": "hostname",
    "--without-gossip": "without_gossip",
    "--without-mingle": "without_mingle",
    "--without-heartbeat": "without_heartbeat",
    "-s": "schedule_file",
    "--schedule": "schedule_file",
    "--schedule-filename": "schedule_file",
    "--scheduler": "scheduler",
    "--max-interval": "max_interval_seconds",
    "--umask": "umask",
    "--uid": "user",
    "--gid": "group",
    "--workdir": "directory",
}
"""Options that have a key of their own in procman.toml."""

FORBIDDEN = {
    "-D": "it detaches, and the process manager would lose sight of it",
    "--detach": "it detaches, and the process manager would lose sight of it",
    "--pidfile": "a stale pid file keeps it from starting for ever; the process manager knows the pid",
    "-B": "a beat inside a worker is a second beat as soon as there are two workers: use [beat]",
    "--beat": "a beat inside a worker is a second beat as soon as there are two workers: use [beat]",
    "-f": "the process manager keeps and rotates the log",
    "--logfile": "the process manager keeps and rotates the log",
    "--purge": "it deletes every waiting task at each start",
    "--discard": "it deletes every waiting task at each start",
    "--executable": "the virtualenv decides the Python",
    "-b": "a broker's URL holds its password, and everybody can read a command line: use environment_file",
    "--broker": "a broker's URL holds its password, and everybody can read a command line: use environment_file",
}
"""Options that break a promise of procman, each with the reason."""


def objection(argument: str) -> str | None:
    """Return why ARGUMENT must not stand in `extra_arguments`, or None."""
    option = argument.split("=", 1)[0]
    if not option.startswith("--"):
        option = option[:2]
    if option in FORBIDDEN:
        return f"{option} is not possible: {FORBIDDEN[option]}"
    if option in OWN_KEYS:
        return f"{option} has a key of its own: {OWN_KEYS[option]}"
    return None


def worker_arguments(app: str, worker: Worker) -> list[str]:
    """Return the arguments of `celery` for WORKER, without the word `celery` itself."""
    return ["-A", app, "worker", *_worker_options(worker), *worker.extra_arguments]


def _worker_options(worker: Worker) -> Iterator[str]:
    yield from ("-l", worker.loglevel)
    if worker.events:
        yield "-E"
    yield from ("-n", worker.node_name)
    if worker.queues:
        yield from ("-Q", ",".join(worker.queues))
    if worker.exclude_queues:
        yield from ("-X", ",".join(worker.exclude_queues))
    if worker.concurrency is not None:
        yield from ("-c", str(worker.concurrency))
    if worker.pool:
        yield from ("-P", worker.pool)
    if worker.optimization:
        yield from ("-O", worker.optimization)
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
