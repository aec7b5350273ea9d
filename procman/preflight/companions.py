"""Commands with a user, directory or environment file of their own: each table is judged as a project of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from procman.launch import directory_of, environment_file_of, group_of, user_of
from procman.model import Level, Result
from procman.preflight.inputs import PreflightFacts
from procman.project import Command, Program, Project


def is_companion(program: Program) -> bool:
    """Return whether `program` sees other things than the workers and beats of its project."""
    command = program.options
    if not isinstance(command, Command):
        return False
    return any((command.user, command.group, command.directory, command.environment_file))


def of_celery(project: Project) -> Project:
    """Return `project` without those commands."""
    return replace(project, programs=tuple(each for each in project.programs if not is_companion(each)))


def companions_of(project: Project) -> list[Project]:
    """Return a project for each table of such commands, with its own user, group, directory and environment file."""
    tables: dict[str, list[Program]] = {}
    for program in filter(is_companion, project.programs):
        tables.setdefault(program.key, []).append(program)
    return [_companion(project, programs) for programs in tables.values()]


def _companion(project: Project, programs: list[Program]) -> Project:
    first = programs[0]
    return replace(
        project,
        user=user_of(project, first),
        group=group_of(project, first),
        directory=directory_of(project, first),
        environment_file=environment_file_of(project, first),
        python_path=(),
        writable_paths=(),
        programs=tuple(programs),
    )


def of_each(judge: Callable[[PreflightFacts], Iterable[Result]]) -> Callable[[PreflightFacts], Iterator[Result]]:
    """Return `judge` extended to the companions, of which only problems are reported, with their program."""

    def judged(preflight: PreflightFacts) -> Iterator[Result]:
        yield from judge(preflight)
        for companion in preflight.companions:
            name = companion.project.programs[0].name
            for result in judge(companion):
                if result.level is not Level.OK:
                    yield result if result.program else result._replace(program=name)

    return judged
