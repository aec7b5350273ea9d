"""PM764 and PM765: whether the limits of open files and memory allow for the number of pool processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from procman.accounts import user_name
from procman.agent.verdict import POOLS_THAT_TELL
from procman.backends.base import FileLimit
from procman.model import Kind, Level, Result
from procman.preflight.inputs import AppAnswer, PreflightFacts
from procman.project import AUTO, Program, Worker

EVENT_LOOPS = ("amqp", "pyamqp", "redis", "sentinel", "sqs", "valkey")
"""The transports, without a final s for TLS, with which the main process has an event loop (kombu 5.7)."""

FILES_PER_PROCESS, FILES_WITHOUT_LOOP = 6, 1
"""How many files the main process has open for each pool process (measured with Celery 5.1 and 5.7)."""

OWN_FILES = 19
"""How many it has open besides: its connections to the broker, its log, pipes (measured with Redis)."""

SPARE_FILES = 64
"""How many the app and its tasks may need besides: databases, caches, logs, files."""

MIB_PER_PROCESS = 10
"""The memory that a pool process does not share with the main process before its first task: 7 to 20 MiB (measured)."""

LIMITS = (
    ("memory_max_mib", "the kernel kills one of its processes, with its task"),
    ("memory_high_mib", "the kernel slows it down"),
    ("memory_restart_mib", "procman restarts it again and again"),
)
"""The keys of limits of memory, with the consequence above each."""


def files_suffice(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM764."""
    for problem in sorted({limit.problem for limit in preflight.host.file_limits.values() if limit.problem}):
        hint = (
            f'Add "{user_name(os.geteuid())} hard nofile 65536" to /etc/security/limits.conf, and log in again; in a '
            "container, start that with --ulimit nofile=65536."
        )
        yield Result("PM764", None, Level.CRITICAL, problem, hint)
    for program, worker, processes in _pools(preflight):
        limit = preflight.host.file_limits.get(program.name)
        if limit and not limit.problem:
            yield _of_files(program, limit, processes, preflight.answer(program), worker)


def _of_files(program: Program, limit: FileLimit, processes: int, answer: AppAnswer | None, worker: Worker) -> Result:
    transport = answer.app.transport if answer and answer.app else ""
    has_loop = transport.partition("+")[0].removesuffix("s") in [each.removesuffix("s") for each in EVENT_LOOPS]
    least = processes * (FILES_PER_PROCESS if has_loop else FILES_WITHOUT_LOOP) + OWN_FILES
    detail = f"its main process opens about {least} files for {_processes(processes)}, of at most {limit.most}"
    if least + SPARE_FILES <= limit.most:
        return Result("PM764", program.name, Level.OK, detail)
    level = Level.CRITICAL if least > limit.most else Level.WARNING
    ends = 'it ends with "Too many open files"' if level is Level.CRITICAL else "few are left for its tasks"
    number = max(1024, 1 << (least + SPARE_FILES).bit_length())
    hint = f"{limit.remedy.format(number=number)}; or lower {_key(worker)} in [{program.key}]."
    return Result("PM764", program.name, level, f"{detail}: {ends}", hint)


def memory_suffices(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM765: the limits of memory allow for every pool process."""
    for program, worker, processes in _pools(preflight):
        answer = preflight.answer(program)
        app = answer.app.memory_mib if answer and answer.app else None
        if app is None:
            continue
        found = _too_little(program, worker, processes, app) or _outgrown(program, worker, processes, answer, app)
        yield from found
        if not found and any(getattr(program, key) for key, _ in LIMITS):
            yield Result("PM765", program.name, Level.OK, f"{_least(processes, app)} of memory")


def _too_little(program: Program, worker: Worker, processes: int, app: float) -> list[Result]:
    """Return a warning if not even the start of all pool processes fits; of several limits, about the hardest."""
    least = app + processes * MIB_PER_PROCESS
    for key, consequence in LIMITS:
        most = getattr(program, key)
        if most is not None and most < least:
            detail = f"{_least(processes, app)}, but {key} is {most}: {consequence}"
            hint = f"Set {key} = {round(2 * least)} in [{program.key}], or lower {_key(worker)}."
            return [Result("PM765", program.name, Level.WARNING, detail, hint)]
    return []


def _least(processes: int, app: float) -> str:
    least = app + processes * MIB_PER_PROCESS
    return f"with {_processes(processes)} it needs at least {least:.0f} MiB (the app alone {app:.0f})"


def _outgrown(program: Program, worker: Worker, processes: int, answer: AppAnswer | None, app: float) -> list[Result]:
    """Return a warning if the kernel would kill a pool process before Celery replaces it after its task."""
    own, most = worker.max_memory_per_child_kib, program.memory_max_mib
    kib = own or _option(answer, "worker_max_memory_per_child")
    if kib is None or most is None or app + processes * kib / 1024 <= most:
        return []
    key = "max_memory_per_child_kib" if own else "worker_max_memory_per_child of the app"
    detail = (
        f"{_processes(processes)} may use {kib / 1024:.0f} MiB each before Celery replaces them "
        f"({key}), and the app {app:.0f} MiB, but memory_max_mib is {most}: the kernel kills one of "
        "them first, with its task"
    )
    fits = max(1, int((most - app) * 1024 / processes))
    enough = round(app + processes * kib / 1024)
    hint = (
        f"Set memory_max_mib = {enough} in [{program.key}], or max_memory_per_child_kib = {fits}, or lower "
        f"{_key(worker)}."
    )
    return [Result("PM765", program.name, Level.WARNING, detail, hint)]


def _pools(preflight: PreflightFacts) -> Iterator[tuple[Program, Worker, int]]:
    """Yield each worker with pool processes, and the largest number of them, unless Celery chooses it (auto)."""
    for program in preflight.of_kind(Kind.WORKER):
        worker, answer = program.options, preflight.answer(program)
        if not isinstance(worker, Worker) or not answer or _pool(worker, answer) not in POOLS_THAT_TELL:
            continue
        size = _size(worker, answer)
        if size is not None:
            yield program, worker, size


def _pool(worker: Worker, answer: AppAnswer) -> str:
    app = answer.app.options.get("worker_pool") if answer.app else None
    # The app's setting also overrides a prefork on the command line (Celery 5 and later).
    return str(app or worker.pool or "prefork") if worker.pool in (None, "prefork") else str(worker.pool)


def _size(worker: Worker, answer: AppAnswer) -> int | None:
    if worker.autoscale:
        return worker.autoscale[0]
    number = worker.concurrency or (answer.app.options.get("worker_concurrency") if answer.app else AUTO)
    if number == AUTO:
        return None
    return number if isinstance(number, int) and number > 0 else os.cpu_count() or 1


def _option(answer: AppAnswer | None, name: str) -> int | None:
    value = answer.app.options.get(name) if answer and answer.app else None
    return value if isinstance(value, int) and value > 0 else None


def _key(worker: Worker) -> str:
    return "autoscale" if worker.autoscale else "concurrency"


def _processes(number: int) -> str:
    return f"{number} pool process{'' if number == 1 else 'es'}"
