"""The health of a project in the OpenMetrics text format, for Prometheus and whoever else reads it.

All families are gauges, so that the older Prometheus format (0.0.4), which node_exporter's textfile collector reads,
is satisfied by the same text. No time stamps: they are the reader's.
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
    """Return what finds FIGURE among the `values` that a program's results give."""
    return lambda each: next((result.values[figure] for result in each.results if figure in result.values), None)


def _age(each: ProgramHealth) -> float | None:
    says = each.snapshot.says
    return round(time.monotonic() - says["written"], 3) if says else None


LEVELS = "0 ok, 1 warning, 2 critical, 3 unknown."

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

OF_PROGRAM: Mapping[str, tuple[str, Callable[[ProgramHealth], float | None]]] = {
    "program_level": (LEVELS, lambda each: each.worst.level),
    "program_running": (
        "1 where its process manager has it running.",
        lambda each: each.snapshot.state.state is State.RUNNING,
    ),
    "program_wanted": ("1 where it should run.", lambda each: each.snapshot.state.desired),
    **{f"program_{figure}": (explanation, _figure(figure)) for figure, explanation in FIGURES.items()},
    "heartbeat_age_seconds": ("Time since the last heartbeat.", _age),
}
"""By family: its explanation, and its value for a program; None where the program has none."""


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


def _families(health: Health) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    project = {"project": health.manifest.project}
    yield "level", f"The most severe level of all: {LEVELS}", [Sample(project, health.level)]
    yield "check_level", f"What each check found: {LEVELS}", _check_levels(health)
    for name, (explanation, value_of) in OF_PROGRAM.items():
        values = [(each.program.name, value_of(each)) for each in health.programs]
        samples = [Sample({**project, "program": program}, value) for program, value in values if value is not None]
        yield name, explanation, samples
    yield "queue_messages", "Messages that wait, as a worker of the queue has them.", _queues(health)
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


def _check_levels(health: Health) -> Iterator[Sample]:
    # Of several results of one check the most severe counts: a series must not be there twice.
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
    for name, messages in sorted(found.items()):
        yield Sample({"project": health.manifest.project, "queue": name}, messages)


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
