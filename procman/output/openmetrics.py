"""The health of a project in the OpenMetrics text format, for Prometheus and whoever else reads it.

All families are gauges, so that the older Prometheus format (0.0.4), which node_exporter's textfile collector reads,
is satisfied by the same text. No time stamps: they are the reader's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from procman.model import Result, State
from procman.monitoring.checks.quick import SEVERITY
from procman.monitoring.health import Health, ProgramHealth


class Sample(NamedTuple):
    """One value of a family."""

    labels: Mapping[str, str]
    value: float


FIGURES = {
    "memory_bytes": "Memory of the program and all its processes: PSS, or RSS where PSS may not be read.",
    "children": "Processes below the main one.",
    "restarts": "Restarts by the process manager itself since the last order.",
    "slots": "Tasks that the worker can run at once.",
    "busy": "Tasks that it runs.",
    "reserved": "Messages that it has received and not started.",
    "finished": "Tasks that it has finished since its start.",
    "open_files": "Files that its fullest process has open.",
    "zombies": "Processes that have ended and are not cleared away.",
}
"""What results say in their `values`, by program."""


def as_text(health: Health) -> str:
    """Return the whole document, `# EOF` included."""
    lines = [line for family in _families(health) for line in _lines(*family)]
    return "\n".join([*lines, "# EOF", ""])


def _lines(name: str, explanation: str, samples: Iterable[Sample]) -> Iterator[str]:
    written = [f"procman_{name}{{{_labels(sample.labels)}}} {sample.value:.15g}" for sample in samples]
    if written:
        yield f"# TYPE procman_{name} gauge"
        yield f"# HELP procman_{name} {explanation}"
        yield from written


def _families(health: Health) -> Iterator[tuple[str, str, list[Sample]]]:
    project = {"project": health.manifest.project}
    levels = "0 ok, 1 warning, 2 critical, 3 unknown."
    yield "level", f"The most severe level of all: {levels}", [Sample(project, health.level)]
    yield (
        "check_level",
        f"What each check found: {levels}",
        [
            Sample({**project, "program": result.program or "", "code": result.code}, result.level)
            for result in _first_of_each(health)
        ],
    )
    yield "program_level", levels, [Sample(_named(health, each), each.worst.level) for each in health.programs]
    yield (
        "program_running",
        "1 where its process manager has it running.",
        [Sample(_named(health, each), each.watched.state.state is State.RUNNING) for each in health.programs],
    )
    yield (
        "program_wanted",
        "1 where it should run.",
        [Sample(_named(health, each), each.watched.state.desired) for each in health.programs],
    )
    for figure, explanation in FIGURES.items():
        yield f"program_{figure}", explanation, list(_figures(health, figure))
    yield "heartbeat_age_seconds", "Time since the last heartbeat.", list(_ages(health))
    yield "queue_messages", "Messages that wait, as a worker of the queue has them.", list(_queues(health))
    yield from _of_project(health, project)


def _of_project(health: Health, project: Mapping[str, str]) -> Iterator[tuple[str, str, list[Sample]]]:
    values = {name: value for result in health.results for name, value in result.values.items()}
    if "broker_up" in values:
        yield "broker_up", "1 where the broker can be reached.", [Sample(project, values["broker_up"])]
    free = {name: value for name, value in values.items() if name.startswith("free_mib_")}
    samples = [
        Sample({**project, "place": name.removeprefix("free_mib_")}, value * 1024**2) for name, value in free.items()
    ]
    yield "free_bytes", "Free space of each disk that something is written to.", samples


def _first_of_each(health: Health) -> list[Result]:
    # Of several results of one check the most severe counts: a series must not be there twice.
    found: dict[tuple[str | None, str], Result] = {}
    for result in health.everything:
        before = found.get((result.program, result.code))
        if before is None or SEVERITY.index(result.level) > SEVERITY.index(before.level):
            found[result.program, result.code] = result
    return list(found.values())


def _named(health: Health, each: ProgramHealth) -> dict[str, str]:
    return {"project": health.manifest.project, "program": each.program.name}


def _figures(health: Health, figure: str) -> Iterator[Sample]:
    for each in health.programs:
        values = [result.values[figure] for result in each.results if figure in result.values]
        if values:
            yield Sample(_named(health, each), values[0])


def _ages(health: Health) -> Iterator[Sample]:
    now = time.monotonic()
    for each in health.programs:
        if each.watched.says:
            yield Sample(_named(health, each), round(now - each.watched.says["written"], 3))


def _queues(health: Health) -> Iterator[Sample]:
    found = {
        queue["name"]: float(queue["messages"])
        for each in health.programs
        for queue in each.watched.says.get("queues", ())
        if queue["messages"] is not None
    }
    for name, messages in sorted(found.items()):
        yield Sample({"project": health.manifest.project, "queue": name}, messages)


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
