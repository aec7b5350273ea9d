"""PM71x: the import of the app, its settings, its tasks and the content that it accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def debug_is_off(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM717: Django then keeps the last 9,000 queries of each connection (BaseDatabaseWrapper.queries_limit)."""
    for each, app in preflight.loaded():
        if app.django.get("DEBUG"):
            detail = (
                f"{app.settings} sets DEBUG: each pool process keeps its last 9,000 database queries in memory, and "
                "reports of errors show local variables"
            )
            hint = f"{_remedy(preflight)}, or set DEBUG = False."
            yield Result("PM717", each.name, Level.WARNING, detail, hint)


def tasks_are_sent(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM718: measured with Celery 5.7, beat runs each task in its own process then."""
    for each, app in preflight.loaded():
        if app.options.get("task_always_eager"):
            detail = (
                "the app has task_always_eager, so no task is sent: the process that calls a task runs it, beat too, "
                "and the workers get nothing"
            )
            hint = f"{_remedy(preflight)}, or remove task_always_eager (with Django CELERY_TASK_ALWAYS_EAGER)."
            yield Result("PM718", each.name, Level.WARNING, detail, hint)


def _remedy(preflight: PreflightFacts) -> str:
    return f"Name the settings for production with settings in [project] of {preflight.project.configuration_file}"


def modules_are_loaded_once(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM719, once per launch environment, with one of the modules."""
    for each, app in preflight.loaded():
        for path, names in list(app.loaded_twice.items())[:1]:
            more = len(app.loaded_twice) - 1
            others = f", as {more} other file{'s are' if more > 1 else ' is'}" if more else ""
            detail = (
                f"{path} is loaded twice, as {' and '.join(names)}{others}: each module has tasks and signals of its "
                "own, and a worker that knows a task by one name discards its messages under the other"
            )
            hint = _one_name(preflight, names)
            yield Result("PM719", each.name, Level.WARNING, detail, hint)


def _one_name(preflight: PreflightFacts, names: Sequence[str]) -> str:
    """Return how the code is imported under the shortest of `names` alone."""
    shortest = min(names, key=len)
    app = preflight.project.app
    prefix = next((name.removesuffix(shortest) for name in names if name != shortest and name.endswith(shortest)), "")
    if prefix and app.startswith(prefix):
        return f'Set app = "{app.removeprefix(prefix)}" in [project], and import the code under that name everywhere.'
    return f"Import the code as {shortest} everywhere: in INSTALLED_APPS, include, and in other modules."
