"""The checks before an install, in the order in which an administrator reads them."""

from __future__ import annotations

from procman.monitoring.checks.registry import Check
from procman.preflight import app, beat_schedule, broker, celery_options, host, interpreter, paths, stop_timeouts
from procman.preflight.inputs import PreflightFacts

BEFORE: tuple[Check[PreflightFacts], ...] = (
    Check("PM701", "the virtualenv's Python starts", interpreter.python_starts),
    Check("PM702", "Celery is in the virtualenv", interpreter.celery_is_there),
    Check("PM703", "no version with a known hole is used", interpreter.no_known_holes),
    Check("PM704", "commands are found", interpreter.commands_are_found),
    Check("PM705", "the environment file can be read", interpreter.environment_file_is_read),
    Check("PM706", "the environment file is private", interpreter.environment_file_is_private),
    Check("PM711", "the app is imported", app.app_is_imported),
    Check("PM712", "the import is in time", app.import_is_in_time),
    Check("PM713", "the settings are those meant", app.settings_are_those_meant),
    Check("PM714", "the app can tell its queues, schedule and settings", app.app_can_tell),
    Check("PM715", "the app has tasks of its own", app.app_has_tasks),
    Check("PM716", "nobody can send code to be run, least of all as root", app.pickle_is_not_accepted),
    Check("PM721", "the broker takes our connection", broker.broker_takes_us),
    Check("PM722", "the client library of the broker is installed", broker.transport_is_installed),
    Check("PM723", "a broker on another host has an account for us", broker.credentials_are_own),
    Check("PM724", "the broker is one for production", broker.transport_is_for_production),
    Check("PM725", "RabbitMQ's management interface answers", broker.management_answers),
    Check("PM726", "every queue is consumed", broker.every_queue_is_consumed),
    Check("PM731", "Celery understands the command line", celery_options.options_are_understood),
    Check("PM732", "the app knows the queues", celery_options.queues_can_be_consumed),
    Check("PM733", "the pool is installed", celery_options.pool_is_installed),
    Check("PM741", "beat's scheduler can be imported", beat_schedule.scheduler_is_imported),
    Check("PM742", "the schedule can be written", beat_schedule.schedule_can_be_written),
    Check("PM743", "the schedule survives a boot and a release", beat_schedule.schedule_stays),
    Check("PM744", "the schedule is the user's alone", beat_schedule.schedule_is_the_users),
    Check("PM745", "the schedule can be read", beat_schedule.schedule_can_be_read),
    Check("PM746", "no other beat of the app runs here", beat_schedule.beat_is_alone),
    Check("PM751", "the user can reach the project's code", paths.project_is_reached),
    Check("PM752", "writable_paths can be written", paths.writable_paths_are_writable),
    Check("PM753", "the user can write where the app does", paths.app_can_write),
    Check("PM754", "the sandbox lets the app write there", paths.sandbox_lets_write),
    Check("PM755", "there is space left", paths.there_is_space),
    Check("PM756", "logs are root's, run directories the user's", paths.own_directories_are_sound),
    Check("PM761", "a stop waits for tasks", stop_timeouts.stop_waits_for_tasks),
    Check("PM762", "the broker waits for tasks", stop_timeouts.broker_waits_for_tasks),
    Check("PM771", "user and group exist", host.account_exists),
    Check("PM772", "the process manager answers", host.manager_answers),
    Check("PM773", "the host cuts nothing short", host.nothing_is_cut_short),
    Check("PM774", "supervisord takes orders from nobody else", host.supervisord_is_private),
    Check("PM775", "an install could put its files in place", host.files_are_taken),
)
