"""PM788: the wrapper of each program, tried with a command that does nothing."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Level, Result
from procman.preflight.inputs import PreflightFacts
from procman.probes.wrapper import Tried
from procman.project import Program
from procman.secrets import masked_command

FORKS = (
    "{words} starts the program as its child instead of replacing itself with it (exec): "
    "a stop would signal the wrapper and not Celery"
)


def wrapper_replaces_itself(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM788, once for the programs whose wrapper does the same."""
    outcomes: dict[tuple[tuple[str, ...], Tried], list[Program]] = {}
    for program in preflight.project.programs:
        if program.name in preflight.wrappers:
            outcomes.setdefault((program.wrapper, preflight.wrappers[program.name]), []).append(program)
    for (wrapper, tried), programs in outcomes.items():
        name, words = programs[0].name if len(programs) == 1 else None, masked_command(wrapper)
        detail, hint = _problem(words, tried, programs, preflight)
        if detail:
            yield Result("PM788", name, Level.CRITICAL, detail, hint)
        else:
            yield Result("PM788", name, Level.OK, f"{words} replaces itself with the program")


def _problem(words: str, tried: Tried, programs: list[Program], preflight: PreflightFacts) -> tuple[str, str]:
    tables = ", ".join(f"[{key}]" for key in dict.fromkeys(program.key for program in programs))
    remedy = f"Remove it from the key wrapper of {tables}, or use another: procman explain PM788"
    if not tried.is_found:
        path = preflight.launches[programs[0].name].environment.get("PATH", "")
        hint = f"Install it, or correct the key wrapper of {tables}; the program's PATH is {path}"
        return f"{preflight.user} cannot run the wrapper {words}: {tried.error}", hint
    if tried.error:
        return tried.error, tried.hint or remedy
    if not tried.replaces_itself:
        return FORKS.format(words=words), remedy
    if not tried.keeps_variables:
        return f"{words} removes variables that the program needs from the environment", remedy
    return "", ""
