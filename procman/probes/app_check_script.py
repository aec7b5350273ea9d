"""Let the app's own Celery judge the command lines of its programs, and list the paths that the app writes to.

Nothing is started. procman puts this text before those of the app's probe, whose answer then also has a field "check",
so that one load of the app serves both. The command lines are a JSON object after the settings:
{"catmaid-celery": ["-A", ...]}.
"""

import contextlib
import importlib
import io
import logging
import os
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

if __name__ == "procman.probes.app_check_script":
    # As a probe, this text comes after theirs.
    from procman.agent.broker_digest import brokers_of
    from procman.probes.app_backend_script import backend_state
    from procman.probes.app_modules_script import loaded_twice
    from procman.probes.app_tables_script import schedule_fault

LONGEST_COMPLAINT = 600
POOL_LIBRARIES = {"eventlet": "eventlet", "gevent": "gevent", "threads": "concurrent.futures"}
BEAT_EXTENSIONS = "celery.beat_schedulers"


def check_app(app: Any, commands: Mapping[str, List[str]]) -> Dict[str, Any]:
    """Return the facts about a loaded app that `procman check` needs in addition to those of the probe."""
    _add_own_options(app)
    return {
        "backend": backend_state(app),
        "brokers": brokers_of(app.connection_for_write),
        "commands": {name: check_command(app, arguments) for name, arguments in commands.items()},
        "loaded_twice": loaded_twice(),
        "writes": [{"what": what, "path": path, "writable": may_write(path)} for what, path in written_places(app)],
    }


# Command lines -------------------------------------------------------------------------------------------------------


def check_command(app: Any, arguments: List[str]) -> Dict[str, Any]:
    """Return the errors in the arguments of `celery`, in Celery's own words, and what it parsed."""
    found = {"error": None, "queues_error": None, "pool_error": None, "state_file": None}  # type: Dict[str, Any]
    found.update({"scheduler_error": None, "scheduler": None, "keeps_file": None, "queues": None})
    found.update({"answers_ping": False, "schedule_trouble": None, "schedule_error": ""})
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            name, values = _parsed(app, arguments)
    except (Exception, SystemExit) as error:
        found["error"] = (_complaint(error) or printed.getvalue().strip())[-LONGEST_COMPLAINT:]
        return found
    if name == "worker":
        found["pool_error"], found["state_file"] = _pool_error(arguments), values.get("statedb")
        found["queues_error"], found["queues"] = _queues(app, values)
    elif name == "beat":
        _look_at_scheduler(app, values, found)
        found["answers_ping"] = _answers_ping(app, values)
    return found


def _parsed(app: Any, arguments: List[str]) -> Tuple[str, Dict[str, Any]]:
    if importlib.import_module("celery").__version__.startswith("4."):
        return _parsed_by_argparse(app, arguments)
    return _parsed_by_click(app, arguments)


def _add_own_options(app: Any) -> None:
    # celery.bin.celery does this when it loads the app, which does more than parse.
    with contextlib.suppress(ImportError, AttributeError):
        group = importlib.import_module("celery.bin.celery").celery
        for name, command in group.commands.items():
            command.params.extend(app.user_options.get(name, ()))
            command.params.extend(app.user_options.get("preload", ()))


def _parsed_by_click(app: Any, arguments: List[str]) -> Tuple[str, Dict[str, Any]]:
    """Return the command's name and parameters as Celery 5 would pass them to its function."""
    group = importlib.import_module("celery.bin.celery").celery
    context = importlib.import_module("celery.bin.base").CLIContext
    outer = group.make_context("celery", list(arguments), auto_envvar_prefix="CELERY")
    outer.obj = context(app=app, no_color=True, workdir=None)
    # Click 8.2 hides the name of the command.
    words = list(getattr(outer, "_protected_args", None) or getattr(outer, "protected_args", [])) + list(outer.args)
    name, command, rest = group.resolve_command(outer, words)
    return name, command.make_context(name, rest, parent=outer).params


def _parsed_by_argparse(app: Any, arguments: List[str]) -> Tuple[str, Dict[str, Any]]:
    """Return the same for Celery 4.4, which removes `-A APP` first; repeat the first checks of the command's `run`."""
    name, rest = arguments[2], arguments[3:]
    command = getattr(importlib.import_module("celery.bin." + name), name)(app=app)
    values, positional = command.parse_options("celery", rest, command=name)
    if positional:
        raise ValueError("unrecognized arguments: %s" % " ".join(map(str, positional)))
    if name == "worker" and values.get("autoscale"):
        for number in values["autoscale"].split(","):
            int(number)
    return name, values


def _complaint(error: BaseException) -> str:
    form = getattr(error, "format_message", None)
    text = str(form() if form else error)
    # argparse exits with a status only, and prints its message to stderr.
    return "" if isinstance(error, SystemExit) else text or type(error).__name__


def _pool_error(arguments: List[str]) -> Optional[str]:
    for at, word in enumerate(arguments[:-1]):
        if word in ("-P", "--pool"):
            try:
                importlib.import_module(POOL_LIBRARIES.get(arguments[at + 1], "celery"))
            except ImportError as error:
                return str(error)
    return None


def _queues(app: Any, values: Mapping[str, Any]) -> Tuple[Optional[str], Optional[List[str]]]:
    """Do what celery.worker.WorkController.setup_queues does with -Q and -X."""
    try:
        queues = app.amqp.Queues(app.conf.task_queues)
        queues.select(_words(values.get("queues")) or None)
        queues.deselect(_words(values.get("exclude_queues")))
        return None, sorted(str(name) for name in queues.consume_from)
    except KeyError as error:
        return "the app does not define queue %s, and task_create_missing_queues is off" % error, None


def _words(value: Any) -> List[str]:
    return value.split(",") if isinstance(value, str) else list(value or ())


def _look_at_scheduler(app: Any, values: Mapping[str, Any], found: Dict[str, Any]) -> None:
    name = values.get("scheduler") or app.conf.beat_scheduler
    try:
        imports = importlib.import_module("celery.utils.imports")
        aliases = dict(imports.load_extension_class_names(BEAT_EXTENSIONS) or {})
        scheduler = imports.symbol_by_name(name, aliases=aliases)
        found["scheduler"] = "%s:%s" % (scheduler.__module__, scheduler.__qualname__)
        found["keeps_file"] = issubclass(scheduler, importlib.import_module("celery.beat").PersistentScheduler)
        found["schedule_trouble"], found["schedule_error"] = schedule_fault(app, scheduler)
    except Exception as error:
        found["scheduler_error"] = "%s: %s" % (type(error).__name__, error)


def _answers_ping(app: Any, values: Mapping[str, Any]) -> bool:
    # Since Celery 5.7; the option, which may also come from the environment, overrides the setting.
    if "remote_control" not in values:
        return False
    enabled = values["remote_control"]
    return bool(app.conf.beat_enable_remote_control if enabled is None else enabled)


# The paths that the app writes to ------------------------------------------------------------------------------------


def written_places(app: Any) -> Iterator[Tuple[str, str]]:
    """Yield (what, path) for each file and directory in the app's settings and logging configuration."""
    for handler in log_handlers():
        yield "log", handler.baseFilename
    backend = str(app.conf.result_backend or "")
    if backend.startswith("file://"):
        yield "result_backend", os.path.abspath(backend[len("file://") :])
    for name, folder in sorted((app.conf.broker_transport_options or {}).items()):
        if "folder" in str(name):
            yield "broker %s" % name, os.path.abspath(str(folder))
    for what, path in _django_places():
        yield what, os.path.abspath(str(path))


def log_handlers() -> List[Any]:
    """Return every logging handler that writes to a file; Django sets them up when the app is loaded."""
    loggers = [logging.getLogger()] + [
        each for each in list(logging.Logger.manager.loggerDict.values()) if isinstance(each, logging.Logger)
    ]
    found = {id(handler): handler for logger in loggers for handler in logger.handlers}
    return [handler for handler in found.values() if getattr(handler, "baseFilename", None)]


def _django_places() -> Iterator[Tuple[str, str]]:
    django_conf = sys.modules.get("django.conf")
    if django_conf is None or not django_conf.settings.configured:
        return
    settings = django_conf.settings
    for name in ("MEDIA_ROOT", "FILE_UPLOAD_TEMP_DIR"):
        value = getattr(settings, name, None)
        if value and isinstance(value, (str, os.PathLike)):
            yield name, str(value)
    for name, cache in dict(getattr(settings, "CACHES", None) or {}).items():
        if str(cache.get("BACKEND", "")).endswith("FileBasedCache") and cache.get("LOCATION"):
            yield "cache %s" % name, str(cache["LOCATION"])
    for name, database in dict(getattr(settings, "DATABASES", None) or {}).items():
        path = str(database.get("NAME") or "")
        if str(database.get("ENGINE", "")).endswith("sqlite3") and path and not path.startswith((":memory:", "file:")):
            yield "database %s" % name, path


def may_write(path: str) -> bool:
    """Return whether this user can write to the file or directory, or create it."""
    if os.path.isdir(path):
        return os.access(path, os.W_OK | os.X_OK)
    if os.path.exists(path):
        return os.access(path, os.W_OK)
    above = os.path.dirname(path)
    while not os.path.exists(above):
        above = os.path.dirname(above)
    return os.access(above, os.W_OK | os.X_OK)
