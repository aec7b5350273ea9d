"""PM790: two processes that would open one state file (`--statedb`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.celery_cli.node_names import expanded
from procman.keeper import node_names
from procman.model import Level, Result
from procman.preflight.inputs import PreflightFacts
from procman.project import Program, Worker

REMEDY = "Write %n, the name of the process, into the path: extra_arguments of [{}], or worker_state_db of the app."


def state_files_are_own(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM790: Celery writes the whole file when a worker exits, and most libraries of Python lock it."""
    owners: dict[Path, str] = {}
    for each in preflight.asked:
        for program in each.programs:
            judged = each.judged.get(program.name)
            if judged and judged.state_file and isinstance(program.options, Worker):
                yield from _shared(preflight, program, judged.state_file, owners)


def _shared(preflight: PreflightFacts, program: Program, path: str, owners: dict[Path, str]) -> Iterator[Result]:
    assert isinstance(program.options, Worker)
    names = node_names(program.options).values()
    found = [preflight.project.directory / expanded(path, name) for name in names]
    hint = REMEDY.format(program.key)
    if len(set(found)) < len(found):
        detail = (
            f"it overlaps, and each of its processes would open the state file {path}: "
            "its successor cannot start, or one process overwrites the revoked tasks of the other"
        )
        yield Result("PM790", program.name, Level.CRITICAL, detail, hint)
    for file in found[:1]:
        other = owners.setdefault(file, program.name)
        if other != program.name:
            detail = (
                f"{other} and {program.name} would open one state file, {path}: the second of them cannot start, "
                "or one overwrites the revoked tasks of the other"
            )
            yield Result("PM790", program.name, Level.WARNING, detail, hint)
