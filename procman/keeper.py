"""Decide how the keeper of an overlapping worker is started, and how the keeper starts the worker's processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from procman.agent import slots
from procman.agent.keeper_launch import FORMAT
from procman.celery_cli.node_names import with_name
from procman.launch import launch_of, owner_of
from procman.model import Kind, RenderedDirectory
from procman.project import Launch, Program, Project, RenderedFile, Worker

KEEPER, REQUEST = slots.KEEPER, "keeper_request.py"
OVERLAP_SECONDS = 80
"""How long a successor may take to become healthy: less than systemd allows for a reload (`TimeoutStartSec=`)."""
OPTIONS = ("-I", "-S", "-B")
"""Of Python: neither the virtualenv's packages nor the variables of the program are for the keeper."""
OWN = ("PROCMAN_PROGRAM", "PROCMAN_RUN_DIRECTORY", "LANG")
"""The variables that the keeper itself needs."""


def is_kept(program: Program) -> bool:
    """Return whether `program` is a worker that overlaps, and so has a keeper."""
    return isinstance(program.options, Worker) and program.options.overlap


def keeper_of(project: Project, program: Program) -> Launch:
    """Return how the process manager starts `program`: through its keeper, if it has one.

    All else is in the launch file, which the keeper reads for each new process.
    """
    launch = launch_of(project, program)
    if not is_kept(program):
        return launch
    environment = {name: launch.environment[name] for name in OWN}
    return replace(
        launch, argv=(*_keeper(project, KEEPER), str(launch_path(project, program))), environment=environment
    )


def run_directories(project: Project, program: Program) -> tuple[Path, ...]:
    """Return the run directories of `program`: one, or one for each slot."""
    worker = program.options
    most = worker.overlap_max if isinstance(worker, Worker) and worker.overlap else 0
    return project.directories.runs(program.name, most)


def request_of(project: Project) -> tuple[str, ...]:
    """Return the words that order an overlap restart of a running keeper, and wait for it."""
    return _keeper(project, REQUEST)


def _keeper(project: Project, script: str) -> tuple[str, ...]:
    return str(project.virtualenv / "bin" / "python"), *OPTIONS, str(project.directories.library / script)


def launch_path(project: Project, program: Program) -> Path:
    """Return the path of the launch file of `program`."""
    return project.directories.state / "launch" / f"{program.name}.json"


def launch_directories(project: Project) -> tuple[RenderedDirectory, ...]:
    """Return the directory of the launch files, if there are any."""
    if not any(is_kept(program) for program in project.programs):
        return ()
    owner = owner_of(project)
    return (RenderedDirectory(project.directories.state / "launch", 0o755, owner, owner),)


def launch_file(project: Project, program: Program, environment_copy: str | None = None) -> RenderedFile:
    """Return the launch file of `program`, which has a keeper; the launcher reads `environment_copy`, if there is one,
    instead of the environment file."""
    worker, launch, owner = program.options, launch_of(project, program), owner_of(project)
    assert isinstance(worker, Worker)
    more = {"PROCMAN_ENVIRONMENT_COPY": environment_copy} if environment_copy else {}
    content = {
        "format": FORMAT,
        "argv": _without_node_name(launch.argv),
        "environment": {**launch.environment, **more},
        "node_names": node_names(worker),
        "overlap_max": worker.overlap_max,
        "overlap_seconds": OVERLAP_SECONDS,
        "stop_timeout_seconds": program.stop_timeout_seconds,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return RenderedFile(launch_path(project, program), text, 0o644, owner, owner, (program.name,), overlaps=True)


def node_names(worker: Worker) -> dict[str, str]:
    """Return the node names of `worker` by slot; one that does not overlap has the first slot only."""
    return {slot: _node_name(worker, slot) for slot in slots.names(worker.overlap_max if worker.overlap else 0)}


def _node_name(worker: Worker, slot: str) -> str:
    first = slot == slots.SLOTS[0]
    return worker.node_name if first else slots.node_name(with_name(worker.node_name), slot)


def _without_node_name(argv: tuple[str, ...]) -> list[str | None]:
    """Return the words with None for the node name, which is that of the slot."""
    place = argv.index("-n", argv.index(Kind.WORKER.value)) + 1
    return [*argv[:place], None, *argv[place + 1 :]]
