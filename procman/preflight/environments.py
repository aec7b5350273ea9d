"""Where the project's code is run for the checks: once for all programs whose launches have the same variables."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from procman.model import Kind
from procman.probes.runner import Place
from procman.probes.wrapper import Tried, try_wrapper
from procman.project import Launch, Program, Project


def place_of(project: Project, launch: Launch, secrets: Mapping[str, str]) -> Place:
    """Return where and as whom the code of a program runs; `secrets` are the variables of the environment file."""
    return Place(
        python_of(project),
        launch.environment,
        launch.directory,
        launch.user,
        launch.group,
        secrets,
        launch.environment_file,
        project.configuration_file,
    )


def python_of(project: Project) -> Path:
    """Return the Python of the project's virtualenv."""
    return project.virtualenv / "bin" / "python"


def alike(project: Project, launches: Mapping[str, Launch]) -> list[tuple[Program, ...]]:
    """Group the workers and beats by launch environment: one query serves each group."""
    groups: dict[tuple[object, ...], list[Program]] = {}
    for program in project.programs:
        if program.kind is not Kind.COMMAND:
            launch = launches[program.name]
            groups.setdefault((_own_variables(launch), launch.directory), []).append(program)
    return [tuple(programs) for programs in groups.values()]


def _own_variables(launch: Launch) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in launch.environment.items() if not item[0].startswith("PROCMAN_")))


def try_wrappers(
    pool: ThreadPoolExecutor, project: Project, launches: Mapping[str, Launch], secrets: Mapping[str, str]
) -> dict[str, Future[Tried]]:
    """Begin to try each wrapper, once in each launch environment; return the outcome by program name."""
    tried: dict[tuple[object, ...], Future[Tried]] = {}
    found = {}
    for program in project.programs:
        if program.wrapper:
            launch = launches[program.name]
            key = (program.wrapper, _own_variables(launch))
            if key not in tried:
                tried[key] = pool.submit(try_wrapper, place_of(project, launch, secrets), program.wrapper)
            found[program.name] = tried[key]
    return found
