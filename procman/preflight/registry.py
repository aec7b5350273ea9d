"""The checks before an install, in the order in which an administrator reads them."""

from __future__ import annotations

from functools import partial

from procman.monitoring.checks.registry import Check
from procman.preflight import (
    app,
    beat_schedule,
    broker,
    broker_states,
    celery_commands,
    celery_options,
    host,
    interpreter,
    listening_ports,
    paths,
    pool_size,
    result_backend,
    second_programs,
    state_files,
    stop_timeouts,
    variables,
    wrapper,
    writable,
)
from procman.preflight.accepted import accepted_still_occurs
from procman.preflight.companions import of_each
from procman.preflight.inputs import PreflightFacts

_OTHERS: tuple[Check[PreflightFacts], ...] = (
    Check("PM701", "The virtualenv's Python starts", of_each(interpreter.python_starts)),
    Check("PM702", "The virtualenv has a tested version of Celery", interpreter.celery_is_there),
    Check("PM703", "Celery and supervisor have no known vulnerability", interpreter.no_known_holes),
    Check("PM704", "The user can run the executable of each command", of_each(interpreter.commands_are_found)),
    Check("PM705", "The environment file can be read", of_each(interpreter.environment_file_is_read)),
    Check("PM706", "The environment file is private", of_each(interpreter.environment_file_is_private)),
    Check("PM707", "No variable replaces a key of procman.toml", variables.no_key_is_replaced),
    Check("PM708", "python-dotenv reads the environment file alike", of_each(variables.dotenv_reads_the_same)),
    Check("PM711", "The app can be imported", app.app_is_imported),
    Check("PM712", "The app is imported within start_seconds", app.import_is_in_time, comes_and_goes=True),
    Check("PM713", "The app uses the configured settings module", app.settings_are_those_meant),
    Check("PM714", "The app's queues, schedule and settings can be read", app.app_can_be_read),
    Check("PM715", "The app has tasks of its own", app.app_has_tasks),
    Check("PM716", "The app does not accept pickle or run as root", app.pickle_is_not_accepted),
    Check("PM717", "Django does not run in debug mode", app.debug_is_off),
    Check("PM718", "Tasks are sent to the broker", app.tasks_are_sent),
    Check("PM719", "No module of the project is loaded twice", app.modules_are_loaded_once),
    Check("PM721", "The app can connect to the broker", broker.broker_accepts_connection, comes_and_goes=True),
    Check("PM722", "The broker's client library is installed", broker.transport_is_installed),
    Check("PM723", "A remote broker is not used with RabbitMQ's default account", broker.credentials_are_own),
    Check("PM724", "The broker is suitable for production", broker.transport_is_for_production),
    Check(
        "PM725",
        "RabbitMQ's management interface answers and shows no alarm",
        broker.management_answers,
        comes_and_goes=True,
    ),
    Check("PM726", "Every queue is consumed by a worker", broker.every_queue_is_consumed),
    Check("PM727", "A local broker is not used with RabbitMQ's default account", broker.local_credentials_are_own),
    Check(
        "PM728",
        "Workers can load the result backend and use it",
        result_backend.results_can_be_stored,
        comes_and_goes=True,
    ),
    Check("PM731", "Celery accepts the command line", celery_options.options_are_understood),
    Check("PM732", "Each worker can consume its queues", celery_options.queues_can_be_consumed),
    Check("PM733", "The library of each worker's pool is installed", celery_options.pool_is_installed),
    Check("PM741", "Beat's scheduler can be imported", beat_schedule.scheduler_is_imported),
    Check("PM742", "The schedule's directory is writable", beat_schedule.schedule_can_be_written),
    Check("PM743", "The schedule survives reboots and releases", beat_schedule.schedule_stays),
    Check("PM744", "Only beat's user can write the schedule", beat_schedule.schedule_is_the_users),
    Check("PM745", "Beat can read its schedule", beat_schedule.schedule_can_be_read),
    Check("PM746", "No other beat of the app runs on this host", second_programs.beat_is_alone, comes_and_goes=True),
    Check("PM747", "Only procman restarts beat", beat_schedule.beat_is_restarted_by_procman_only),
    Check(
        "PM748",
        "No other worker does the work of one of the project's",
        second_programs.worker_is_alone,
        comes_and_goes=True,
    ),
    Check(
        "PM749",
        "Each worker will have a node name of its own",
        second_programs.node_names_differ,
        comes_and_goes=True,
    ),
    Check("PM751", "The user can read the project's code", of_each(paths.project_is_reached)),
    Check("PM752", "The user can write to every directory in writable_paths", writable.writable_paths_are_writable),
    Check("PM753", "The user can write wherever the app writes", writable.app_can_write),
    Check("PM754", "The sandbox hides nothing and lets the app write its files", paths.sandbox_lets_write),
    Check("PM755", "Enough disk space is free where the programs write", paths.there_is_space, comes_and_goes=True),
    Check("PM756", "Logs belong to root, run directories to the user", of_each(paths.own_directories_are_safe)),
    Check("PM761", "The stop timeout covers the task time limit", stop_timeouts.stop_waits_for_tasks),
    Check("PM762", "RabbitMQ's consumer timeout covers the task time limit", stop_timeouts.broker_waits_for_tasks),
    Check("PM763", "The services that tasks need stop after the programs", stop_timeouts.services_stop_last),
    Check("PM764", "Enough files can be open for the pool processes", pool_size.files_suffice),
    Check("PM765", "The limits of memory allow for the pool processes", pool_size.memory_suffices),
    Check("PM771", "The user and the group exist", of_each(host.account_exists)),
    Check("PM772", "The process manager answers", host.manager_answers, comes_and_goes=True),
    Check("PM773", "The host supports the stop timeouts and settings", host.host_supports_settings),
    Check(
        "PM774",
        "supervisord accepts no TCP commands without a password",
        host.supervisord_is_private,
        comes_and_goes=True,
    ),
    Check("PM775", "The files can be installed", host.files_are_taken),
    Check("PM781", "Restarts do not use up a delivery limit", broker_states.delivery_limits_last, comes_and_goes=True),
    Check("PM782", "Redis accepts the commands of a worker", broker_states.redis_accepts_commands, comes_and_goes=True),
    Check("PM783", "Each queue has the arguments that the app declares", broker_states.arguments_are_equal),
    Check("PM784", "The visibility timeout covers the task time limit", stop_timeouts.visibility_covers_tasks),
    Check("PM785", "No other project consumes the same queue", broker_states.queues_are_own, comes_and_goes=True),
    Check("PM786", "Messages that a queue gives up are kept", broker_states.dead_letters_are_kept, comes_and_goes=True),
    Check("PM787", "RabbitMQ permits what this Celery needs", broker_states.features_are_permitted),
    Check("PM788", "Each wrapper replaces itself with its program", of_each(wrapper.wrapper_replaces_itself)),
    Check("PM789", "Workers and beat have tables of their own", celery_commands.celery_is_no_command),
    Check("PM790", "Each worker process has a state file of its own", state_files.state_files_are_own),
    Check(
        "PM791", "No worker that overlaps needs a port of its own", listening_ports.ports_are_free, comes_and_goes=True
    ),
)
"""All but the one that judges their results."""

BEFORE: tuple[Check[PreflightFacts], ...] = (
    Check("PM605", "Every accepted warning still occurs", partial(accepted_still_occurs, _OTHERS)),
    *_OTHERS,
)
