"""Format the health of a project as OpenMetrics text, for Prometheus and other readers.

All families are gauges, so that the text is also valid in the older Prometheus format (0.0.4), which the textfile
collector of node_exporter reads. There are no time stamps: the reader adds them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from procman.model import Level, State
from procman.monitoring.checks.quick import SEVERITY
from procman.monitoring.health import Health, ProgramHealth


class Sample(NamedTuple):
    """One value of a family."""

    labels: Mapping[str, str]
    value: float


def _figure(figure: str) -> Callable[[ProgramHealth], float | None]:
    """Return a function that finds `figure` in the `values` of a program's results."""
    return lambda each: next((result.values[figure] for result in each.results if figure in result.values), None)


def _age(each: ProgramHealth) -> float | None:
    says = each.snapshot.says
    return round(time.monotonic() - says["written"], 3) if says else None


LEVELS = "0 ok, 1 warning, 2 critical, 3 unknown."
LEVEL = f"The most severe level of all checks: {LEVELS}"

FIGURES = {
    "memory_bytes": "Memory of the program and all its processes: PSS, or RSS if PSS cannot be read.",
    "draining_memory_bytes": "Memory of the earlier processes that drain, in the same way.",
    "children": "Processes below the main process.",
    "slots": "Tasks that the worker can run at the same time.",
    "busy": "Tasks that the worker is running.",
    "reserved": "Messages that the worker has received and not started.",
    "finished": "Tasks that the worker has finished since its start.",
    "open_files": "Open files of the process that is nearest to its limit.",
    "zombies": "Processes that have ended and were not reaped.",
}
"""The `values` of a program's results, and the help text of each."""

OF_QUEUE = {
    "consumers": "Consumers of the queue on all hosts, as reported by RabbitMQ.",
    "unacknowledged": "Messages of the queue that consumers hold.",
}
"""The other numbers of a queue, and the help text of each."""

OF_PROGRAM: Mapping[str, tuple[str, Callable[[ProgramHealth], float | None]]] = {
    "program_level": (LEVELS, lambda each: each.worst.level),
    "program_draining": (
        "Earlier processes of a worker with overlap that finish their tasks.",
        lambda each: len(each.snapshot.draining) if each.snapshot.program.overlap_max else None,
    ),
    "program_running": (
        "1 if the process manager reports it as running.",
        lambda each: each.snapshot.state.state is State.RUNNING,
    ),
    "program_wanted": ("1 if it should run.", lambda each: each.snapshot.state.desired),
    **{f"program_{figure}": (explanation, _figure(figure)) for figure, explanation in FIGURES.items()},
    # Not from a result: a program that is down between two restarts has none.
    "program_restarts": (
        "Automatic restarts by the process manager since the last start, stop or restart.",
        lambda each: each.snapshot.state.restarts,
    ),
    "heartbeat_age_seconds": ("Time since the last heartbeat.", _age),
}
"""By family: its help text, and its value for a program; None if the program has none."""


def as_text(*healths: Health, unread: Iterable[str] = ()) -> str:
    """Return the complete document, with `# EOF`; the level of the projects in `unread` is unknown."""
    # The samples of a family must follow each other.
    families: dict[str, tuple[str, list[Sample]]] = {}
    for name, explanation, samples in (family for health in healths for family in _families(health)):
        families.setdefault(name, (explanation, []))[1].extend(samples)
    unknown = [Sample({"project": project}, Level.UNKNOWN) for project in unread]
    families.setdefault("level", (LEVEL, []))[1].extend(unknown)
    lines = [line for name, family in families.items() for line in _lines(name, *family)]
    return "\n".join([*lines, "# EOF", ""])


def _lines(name: str, explanation: str, samples: Iterable[Sample]) -> Iterator[str]:
    written = [f"procman_{name}{{{_labels(sample.labels)}}} {sample.value:.15g}" for sample in samples]
    if written:
        yield f"# TYPE procman_{name} gauge"
        yield f"# HELP procman_{name} {explanation}"
        yield from written


def _families(health: Health) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    project = {"project": health.manifest.project}
    yield "level", LEVEL, [Sample(project, health.level)]
    yield "check_level", f"The level of each check: {LEVELS}", _check_levels(health)
    for name, (explanation, value_of) in OF_PROGRAM.items():
        values = [(each.program.name, value_of(each)) for each in health.programs]
        samples = [Sample({**project, "program": program}, value) for program, value in values if value is not None]
        yield name, explanation, samples
    if health.manifest.accept:
        accepted = sum(result.accepted for result in health.everything)
        yield "accepted_warnings", "Warnings that procman.toml accepts; their level is ok.", [Sample(project, accepted)]
    yield "queue_messages", "Messages waiting in the queue, as reported by its workers or the broker.", _queues(health)
    for number, explanation in OF_QUEUE.items():
        found = _of_broker(health, number)
        yield (
            f"queue_{number}",
            explanation,
            [Sample({**project, "queue": name}, found[name]) for name in sorted(found)],
        )
    yield from _of_project(health, project)


def _of_project(health: Health, project: Mapping[str, str]) -> Iterator[tuple[str, str, list[Sample]]]:
    values = {name: value for result in health.results for name, value in result.values.items()}
    if "broker_up" in values:
        yield "broker_up", "1 if the broker can be reached.", [Sample(project, values["broker_up"])]
    free = {name: value for name, value in values.items() if name.startswith("free_mib_")}
    samples = [
        Sample({**project, "place": name.removeprefix("free_mib_")}, value * 1024**2) for name, value in free.items()
    ]
    yield "free_bytes", "Free space of each disk that the project writes to.", samples


def _check_levels(health: Health) -> Iterator[Sample]:
    # Of several results of one check, the most severe counts: a series must not occur twice.
    levels: dict[tuple[str, str], Level] = {}
    for result in health.everything:
        key = (result.program or "", result.code)
        levels[key] = max(levels.get(key, result.level), result.level, key=SEVERITY.index)
    for (program, code), level in levels.items():
        yield Sample({"project": health.manifest.project, "program": program, "code": code}, level)


def _queues(health: Health) -> Iterator[Sample]:
    found = {
        queue["name"]: float(queue["messages"])
        for each in health.programs
        for queue in each.snapshot.says.get("queues", ())
        if queue["messages"] is not None
    }
    # The queue of a stopped worker has no heartbeat.
    found = {**_of_broker(health, "messages"), **found}
    for name, messages in sorted(found.items()):
        yield Sample({"project": health.manifest.project, "queue": name}, messages)


def _of_broker(health: Health, number: str) -> dict[str, float]:
    """Return a number of each queue, such as `messages`, as the broker reported it last."""
    values = {name: value for result in health.results for name, value in result.values.items()}
    return {name.partition("_")[2]: value for name, value in values.items() if name.startswith(f"{number}_")}


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
