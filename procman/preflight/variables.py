"""PM707 and PM708: variables that replace keys of procman.toml, and lines that have a second meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from procman.agent.environment_file import Assignment
from procman.celery_cli.write import key_of_variable, options_of_key
from procman.config.read_environment import OWN_VARIABLES
from procman.model import Kind, Level, Result
from procman.preflight.dotenv import EXPANDS
from procman.preflight.inputs import PreflightFacts
from procman.project import Launch, Program

OF_CELERY = (Kind.WORKER, Kind.BEAT)

REMEDIES = {
    **OWN_VARIABLES,
    "PATH": "set it in [environment], where the virtualenv's bin directory always comes first",
}

EXPLAINED = "procman explain PM708"

QUOTE = "Put the whole value into single quotes, and a comment on a line of its own"


def replacing(assignments: Sequence[Assignment], launches: Iterable[Launch]) -> tuple[tuple[int, str], ...]:
    """Return the line and name of each variable that PM707 judges; variables with procman's own value are omitted."""
    launches = tuple(launches)
    return tuple(
        (each.line, each.name)
        for each in assignments
        if any(key_of_variable(each.name, kind) for kind in OF_CELERY)
        or any(_replaces(each, launch) for launch in launches)
    )


def _replaces(assignment: Assignment, launch: Launch) -> bool:
    own = launch.environment.get(assignment.name)
    if assignment.name == "PATH":
        # The virtualenv's directory comes first.
        return assignment.value.partition(":")[0] != (own or "").partition(":")[0]
    if assignment.name == "DJANGO_SETTINGS_MODULE" and own is None:
        return False
    return assignment.name in OWN_VARIABLES and assignment.value != own


def no_key_is_replaced(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM707: for each line of the environment file, and for each variable of `[environment]`."""
    file, programs = preflight.environment_file, preflight.project.programs
    for line, name in file.replacing if file else ():
        assert file
        place = f"{file.path}:{line}: {name}"
        if name in REMEDIES:
            is_own = any(name in launch.environment for launch in preflight.launches.values())
            problem = "differs from the value that procman sets, and the file wins" if is_own else "should not be set"
            detail = f"{place} {problem}"
            yield Result("PM707", None, Level.WARNING, detail, f"Remove the line: {REMEDIES[name]}.")
        yield from _options(place, name, programs, preflight)
    for name in sorted({name for program in programs for name in program.environment}):
        having = [program for program in programs if name in program.environment]
        yield from _options(f"{name} in [environment]", name, having, preflight)


def _options(place: str, name: str, programs: Sequence[Program], preflight: PreflightFacts) -> Iterator[Result]:
    """Yield the option that Celery reads from the variable `name`, if a command line leaves it to the variable."""
    for kind in OF_CELERY:
        found = key_of_variable(name, kind)
        affected = [each for each in programs if each.kind is kind and found and _lacks(each, found[1], preflight)]
        if found and affected:
            option, key = found
            tables = " and ".join(f"[{each.key}]" for each in affected)
            detail = f"{place}: Celery reads it as the option {option}, which procman.toml leaves out"
            yield Result("PM707", None, Level.WARNING, detail, f"Remove it, and set the key {key} in {tables}.")


def _lacks(program: Program, key: str, preflight: PreflightFacts) -> bool:
    """Return whether the command line leaves the option to a variable."""
    words = {word.partition("=")[0] for word in preflight.launches[program.name].argv}
    return not words & set(options_of_key(key, program.kind))


def dotenv_reads_the_same(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM708, once for each line; no value is shown."""
    file = preflight.environment_file
    for line, difference in file.ambiguous if file else ():
        assert file
        detail = f"{file.path}:{line}: python-dotenv reads another value, because {difference}"
        remedy = "Write out the value of the variable" if difference == EXPANDS else QUOTE
        yield Result("PM708", None, Level.WARNING, detail, f"{remedy}; see {EXPLAINED}")
