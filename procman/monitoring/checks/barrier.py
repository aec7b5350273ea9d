"""Run the checks of running programs so that one that fails costs no other result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from procman.install.state.manifest import Manifest
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProjectSnapshot
from procman.monitoring.checks.registry import Check, Reach

LONGEST_TRACEBACK = 8_000


class Outcome(NamedTuple):
    """The results of checks, and the traceback of each check that failed."""

    results: list[Result]
    tracebacks: list[str]


def run_each(checks: Iterable[Check[ProjectSnapshot]], running: ProjectSnapshot) -> Outcome:
    """Return the results of all `checks`, in their order; a check that raises is UNKNOWN where it does.

    Only after a check has raised is it run for one program at a time.
    """
    outcome = Outcome([], [])
    for check in checks:
        try:
            outcome.results.extend(list(check.function(running)))
        except Exception as error:
            _run_apart(check, running, error, outcome)
    return outcome


def _run_apart(check: Check[ProjectSnapshot], running: ProjectSnapshot, error: Exception, outcome: Outcome) -> None:
    if check.reach is Reach.PROJECT:
        outcome.tracebacks.append(traceback_of(error))
        outcome.results.append(failed(check.code, None, error, running.manifest))
        return
    for name, alone in _each_alone(running):
        try:
            outcome.results.extend(list(check.function(alone)))
        except Exception as error_of_one:
            outcome.tracebacks.append(traceback_of(error_of_one))
            outcome.results.append(failed(check.code, name, error_of_one, running.manifest))


def _each_alone(running: ProjectSnapshot) -> Iterator[tuple[str, ProjectSnapshot]]:
    pids = {each.program.name: each.state.pid for each in running.programs if each.state.pid}
    for each in running.programs:
        name = each.program.name
        others = (*running.others, *(pid for other, pid in pids.items() if other != name))
        yield name, replace(running, programs=(each,), others=others)


def failed(code: str, program: str | None, error: Exception, manifest: Manifest) -> Result:
    """Return the result of a check that raised `error`, for `program` or the project."""
    # Not its text, which may contain anything that the check has read.
    detail = f"this check failed, which is an error in procman: {type(error).__name__}{_place(error)}"
    watcher = next((each.name for each in manifest.programs if each.kind is Kind.HEALTH), None)
    where = f"procman logs {watcher} shows the traceback" if watcher else "procman heal shows the traceback"
    return Result(code, program, Level.UNKNOWN, detail, f"{where}; report it, and run the command again")


def _place(error: Exception) -> str:
    """Return the last place in procman's own code that `error` passed."""
    place, trace = "", error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        if "/procman/" in code.co_filename:
            place = f" at {code.co_filename.rpartition('/procman/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def traceback_of(error: Exception) -> str:
    """Return the traceback of `error`, without secrets."""
    import traceback  # here, because nearly no check fails

    from procman.secrets import masked

    return masked("".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:])
