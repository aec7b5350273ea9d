"""PM71x: the app is imported, with the settings that were meant, and within the time it has."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Kind, Level, Result
from procman.preflight.inputs import PreflightFacts

PICKLES = {"pickle", "application/x-python-serialize"}


def app_is_imported(preflight: PreflightFacts) -> Iterator[Result]:
    """The app is imported by each launch, as the user of the programs, with the time limit."""
    for each in preflight.asked:
        if each.app:
            detail = (
                f"{preflight.project.app} was imported in {each.app.import_seconds:.1f} s, with {each.app.tasks} tasks"
            )
            yield Result("PM711", each.name, Level.OK, detail)
        else:
            slow = "--timeout SECONDS allows more; an import that waits for the broker or a database may never end."
            hint = each.hint or (slow if "no answer" in each.error else "")
            yield Result("PM711", each.name, Level.CRITICAL, each.error, hint)


def import_is_in_time(preflight: PreflightFacts) -> Iterator[Result]:
    """The app takes less time to import than a program must stay up to count as started."""
    for each, app in preflight.loaded():
        for program in each.programs:
            if app.import_seconds >= program.start_seconds:
                detail = (
                    f"the app takes {app.import_seconds:.1f} s to import: a program that fails by then counts as "
                    f"started, and is restarted for ever"
                )
                hint = f"start_seconds = {int(2 * app.import_seconds) + 1} in [{program.key}]"
                yield Result("PM712", program.name, Level.WARNING, detail, hint)


def settings_are_those_meant(preflight: PreflightFacts) -> Iterator[Result]:
    """The settings module that procman.toml names is the one that the app uses."""
    meant = preflight.project.settings
    for each, app in preflight.loaded() if meant else ():
        if app.settings and app.settings != meant:
            detail = f"the app uses the settings {app.settings}, whatever DJANGO_SETTINGS_MODULE says ({meant})"
            hint = f'settings = "{app.settings}" in [project], or mend the module of the app that sets another one.'
            yield Result("PM713", each.name, Level.WARNING, detail, hint)
        elif not app.settings:
            detail = f"settings = {meant} is of no effect: the app does not use Django's settings"
            yield Result("PM713", each.name, Level.WARNING, detail, "Leave the key settings out, or mend the app.")


def app_can_tell(preflight: PreflightFacts) -> Iterator[Result]:
    """The app can tell its queues, schedule and settings: what fails here fails in the worker too."""
    for each, app in preflight.loaded():
        for what, problem in app.problems.items():
            detail = f"the app cannot tell its {what}: {problem}"
            yield Result("PM714", each.name, Level.WARNING, detail, "Mend that setting of the app.")


def app_has_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """The app has tasks of its own."""
    for each, app in preflight.loaded():
        if not app.tasks and any(program.kind is Kind.WORKER for program in each.programs):
            detail = "the app has no tasks: a worker would refuse every message"
            hint = "Have the app import its tasks (app.autodiscover_tasks(), or `include`)."
            yield Result("PM715", each.name, Level.WARNING, detail, hint)


def pickle_is_not_accepted(preflight: PreflightFacts) -> Iterator[Result]:
    """The app does not unpickle what anybody can put on the broker; as root Celery refuses to."""
    if preflight.runs_as_root:
        detail = (
            "the programs run as root: a worker that accepts pickle refuses to start, and any other can do anything"
        )
        hint = (
            "Let another user run them, such as www-data. Root does not load the app here, so that it is not checked."
        )
        yield Result("PM716", None, Level.WARNING, detail, hint)
    for each, app in preflight.loaded():
        accepted = app.options.get("accept_content")
        if PICKLES & set(accepted if isinstance(accepted, list) else ()):
            detail = f"the app accepts pickle: whoever can send it a message runs code as {preflight.user}"
            hint = 'CELERY_ACCEPT_CONTENT = ["json"], once no sender uses pickle any more.'
            yield Result("PM716", each.name, Level.WARNING, detail, hint)
