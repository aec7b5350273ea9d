"""PM71x: the import of the app, its settings, its tasks and the content that it accepts."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Kind, Level, Result
from procman.preflight.inputs import PreflightFacts

PICKLES = {"pickle", "application/x-python-serialize"}


def app_is_imported(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM711, once per launch environment, as the programs' user."""
    for each in preflight.asked:
        if each.app:
            seconds, tasks = f"{each.app.import_seconds:.1f} s", "task" if each.app.tasks == 1 else "tasks"
            detail = f"{preflight.project.app} was imported in {seconds}, with {each.app.tasks} {tasks}"
            yield Result("PM711", each.name, Level.OK, detail)
        else:
            slow = "If the import is only slow, use a longer --timeout; it may be waiting for the broker or a database."
            hint = each.hint or (slow if "no answer" in each.error else "")
            yield Result("PM711", each.name, Level.CRITICAL, each.error, hint)


def import_is_in_time(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM712."""
    for each, app in preflight.loaded():
        for program in each.programs:
            if app.import_seconds >= program.start_seconds:
                detail = (
                    f"the app takes {app.import_seconds:.1f} s to import, but start_seconds is "
                    f"{program.start_seconds:g}: a failing import would count as a start and be restarted for ever"
                )
                hint = f"Set start_seconds = {int(2 * app.import_seconds) + 1} in [{program.key}]."
                yield Result("PM712", program.name, Level.WARNING, detail, hint)


def settings_are_those_meant(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM713."""
    meant = preflight.project.settings
    for each, app in preflight.loaded() if meant else ():
        if app.settings and app.settings != meant:
            detail = f"the app uses the settings {app.settings}, although DJANGO_SETTINGS_MODULE is {meant}"
            hint = f'Set settings = "{app.settings}" in [project], or change the module of the app that overrides it.'
            yield Result("PM713", each.name, Level.WARNING, detail, hint)
        elif not app.settings:
            detail = f'settings = "{meant}" has no effect: the app does not use Django\'s settings'
            hint = "Remove settings from [project], or make the app use Django's settings."
            yield Result("PM713", each.name, Level.WARNING, detail, hint)


def app_can_be_read(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM714: an error here would also occur in the worker."""
    for each, app in preflight.loaded():
        for what, problem in app.problems.items():
            detail = f"cannot read {what} from the app: {problem}"
            yield Result("PM714", each.name, Level.WARNING, detail, "Correct that setting of the app.")


def app_has_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM715."""
    for each, app in preflight.loaded():
        if not app.tasks and any(program.kind is Kind.WORKER for program in each.programs):
            detail = "the app has no tasks: a worker would refuse every message"
            hint = "Make the app import its tasks (app.autodiscover_tasks(), or `include`)."
            yield Result("PM715", each.name, Level.WARNING, detail, hint)


def pickle_is_not_accepted(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM716: whoever can send a pickle can run code; as root, Celery refuses to accept pickles."""
    if preflight.runs_as_root:
        detail = (
            "the programs run as root: a worker that accepts pickle refuses to start, and any other has full access"
        )
        hint = (
            "Set user in [project], for example www-data. procman does not load the app as root, so it is not checked."
        )
        yield Result("PM716", None, Level.WARNING, detail, hint)
    for each, app in preflight.loaded():
        accepted = app.options.get("accept_content")
        if PICKLES & set(accepted if isinstance(accepted, list) else ()):
            detail = f"the app accepts pickle: whoever can send it a message can run code as {preflight.user}"
            hint = 'Set CELERY_ACCEPT_CONTENT = ["json"], as soon as no sender uses pickle any more.'
            yield Result("PM716", each.name, Level.WARNING, detail, hint)
