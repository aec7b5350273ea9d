"""The checks before an install, in the order in which an administrator reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from procman.model import Result
from procman.monitoring.checks.registry import Check, When
from procman.preflight import app, beat_schedule, broker, celery_options, host, interpreter, paths, stop_timeouts
from procman.preflight.inputs import PreflightFacts


def _check(code: str, title: str, function: Callable[[PreflightFacts], Iterable[Result]]) -> Check[PreflightFacts]:
    return Check(code, title, When.BEFORE_INSTALL, function)


BEFORE: tuple[Check[PreflightFacts], ...] = (
    _check("PM701", "the virtualenv's Python starts", interpreter.python_starts),
    _check("PM702", "Celery is in the virtualenv", interpreter.celery_is_there),
    _check("PM703", "no version with a known hole is used", interpreter.no_known_holes),
    _check("PM704", "commands are found", interpreter.commands_are_found),
    _check("PM705", "the environment file can be read", interpreter.environment_file_is_read),
    _check("PM706", "the environment file is private", interpreter.environment_file_is_private),
    _check("PM711", "the app is imported", app.app_is_imported),
    _check("PM712", "the import is in time", app.import_is_in_time),
    _check("PM713", "the settings are those meant", app.settings_are_those_meant),
    _check("PM714", "the app can tell its queues, schedule and settings", app.app_can_tell),
    _check("PM715", "the app has tasks of its own", app.app_has_tasks),
    _check("PM716", "nobody can send code to be run, least of all as root", app.pickle_is_not_accepted),
    _check("PM721", "the broker takes our connection", broker.broker_takes_us),
    _check("PM722", "the client library of the broker is installed", broker.transport_is_installed),
    _check("PM723", "a broker on another host has an account for us", broker.credentials_are_own),
    _check("PM724", "the broker is one for production", broker.transport_is_for_production),
    _check("PM725", "RabbitMQ's management interface answers", broker.management_answers),
    _check("PM726", "every queue is consumed", broker.every_queue_is_consumed),
    _check("PM731", "Celery understands the command line", celery_options.options_are_understood),
    _check("PM732", "the app knows the queues", celery_options.queues_can_be_consumed),
    _check("PM733", "the pool is installed", celery_options.pool_is_installed),
    _check("PM741", "beat's scheduler can be imported", beat_schedule.scheduler_is_imported),
    _check("PM742", "the schedule can be written", beat_schedule.schedule_can_be_written),
    _check("PM743", "the schedule survives a boot and a release", beat_schedule.schedule_stays),
    _check("PM744", "the schedule is the user's alone", beat_schedule.schedule_is_the_users),
    _check("PM745", "the schedule can be read", beat_schedule.schedule_can_be_read),
    _check("PM746", "no other beat of the app runs here", beat_schedule.beat_is_alone),
    _check("PM751", "the user can reach the project's code", paths.project_is_reached),
    _check("PM752", "writable_paths can be written", paths.writable_paths_are_writable),
    _check("PM753", "the user can write where the app does", paths.app_can_write),
    _check("PM754", "the sandbox lets the app write there", paths.sandbox_lets_write),
    _check("PM755", "there is space left", paths.there_is_space),
    _check("PM756", "logs are root's, run directories the user's", paths.own_directories_are_sound),
    _check("PM761", "a stop waits for tasks", stop_timeouts.stop_waits_for_tasks),
    _check("PM762", "the broker waits for tasks", stop_timeouts.broker_waits_for_tasks),
    _check("PM771", "user and group exist", host.account_exists),
    _check("PM772", "the process manager answers", host.manager_answers),
    _check("PM773", "the host cuts nothing short", host.nothing_is_cut_short),
    _check("PM774", "supervisord takes orders from nobody else", host.supervisord_is_private),
    _check("PM775", "an install could put its files in place", host.files_are_taken),
)


def results(preflight: PreflightFacts) -> list[Result]:
    """Return what every check says of BEFORE, in the table's order."""
    return [result for check in BEFORE for result in check.function(preflight)]
