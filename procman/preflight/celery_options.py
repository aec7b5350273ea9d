"""PM73x: the command line of each worker and beat, judged by the project's own Celery."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Level, Result
from procman.preflight.inputs import PreflightFacts
from procman.probes.app import Judged
from procman.project import Program, Worker


def _judged(preflight: PreflightFacts) -> Iterator[tuple[Program, Judged]]:
    for each in preflight.asked:
        for program in each.programs:
            if program.name in each.judged:
                yield program, each.judged[program.name]


def options_are_understood(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM731."""
    app = preflight.facts()
    version = app.versions.get("celery", "") if app else ""
    for program, judged in _judged(preflight):
        if judged.error:
            detail = f"Celery {version} does not accept the command line: {judged.error}"
            hint = f"Correct the keys of [{program.key}]; `procman render` shows the whole command."
            yield Result("PM731", program.name, Level.CRITICAL, detail, hint)
        else:
            yield Result("PM731", program.name, Level.OK, f"Celery {version} accepts the command line")


def queues_can_be_consumed(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM732: the app defines the queues, or creates missing ones, and at least one is left to consume."""
    for program, judged in _judged(preflight):
        if judged.queues_error:
            hint = f"Correct queues in [{program.key}], or task_queues in the app's settings."
            yield Result("PM732", program.name, Level.CRITICAL, judged.queues_error, hint)
        elif judged.queues == ():
            detail = "the worker would consume no queue: exclude_queues removes all of them"
            yield Result("PM732", program.name, Level.CRITICAL, detail, f"Correct exclude_queues in [{program.key}].")


def pool_is_installed(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM733."""
    for program, judged in _judged(preflight):
        if judged.pool_error and isinstance(program.options, Worker):
            detail = f"the pool {program.options.pool} cannot be used: {judged.pool_error}"
            yield Result("PM733", program.name, Level.CRITICAL, detail, preflight.install_hint(program.options.pool))
