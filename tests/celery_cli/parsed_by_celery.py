"""Celery's own command-line parser as a process, in the version of the Python that runs it.

A request is a line of JSON: the arguments of `celery`. The answer is {"command": "worker", "values": {...}}, with the
names of Celery 5 in both, or {"error": why Celery would not start}; to ["pools"] it is {"pools": [their names]},
and to ["options", "worker"] {"options": [their names]}. Nothing is started. Runs on Python 3.6 and later.
"""

# ruff: noqa: UP006, UP032, UP035

import contextlib
import importlib
import io
import json
import sys
from types import ModuleType
from typing import Any, Dict, List, Tuple

import celery  # type: ignore[import-untyped, import-not-found, unused-ignore]

DESIRED = {
    "worker": (
        *("loglevel", "task_events", "hostname", "queues", "exclude_queues", "concurrency", "pool", "optimization"),
        *("autoscale", "prefetch_multiplier", "max_tasks_per_child", "max_memory_per_child", "time_limit"),
        *("soft_time_limit", "without_gossip", "without_mingle", "without_heartbeat", "statedb", "detach", "pidfile"),
    ),
    "beat": ("loglevel", "pidfile", "schedule", "scheduler", "max_interval", "detach"),
}


class Refused(Exception):
    """Celery's error for invalid arguments."""


class Site(ModuleType):
    """The module that `-A mysite` imports."""

    app = celery.Celery("mysite", set_as_current=False)


def answer(arguments: List[str]) -> Dict[str, Any]:
    """Parse the arguments with Celery."""
    if arguments == ["pools"]:
        return {"pools": sorted(importlib.import_module("celery.concurrency").ALIASES)}
    if arguments[:1] == ["options"]:
        return {"options": sorted(options_of(arguments[1]))}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            command, values = read(arguments)
    except (Refused, SystemExit) as error:
        return {"error": printed.getvalue() or str(error)}
    found = {name: shown(values.get(name)) for name in DESIRED[command]}
    return {"command": command, "values": found}


def options_of(command: str) -> List[str]:
    """Return the names of all options of the command and of `celery` itself."""
    if IS_OLD:
        parser = getattr(importlib.import_module("celery.bin.{}".format(command)), command)(app=Site.app)
        actions = parser.create_parser("celery", command)._actions
        return [name for action in actions for name in action.option_strings]
    group = importlib.import_module("celery.bin.celery").celery
    found = [*group.params, *group.commands[command].params]
    return [name for option in found for name in (*option.opts, *option.secondary_opts)]


def shown(value: Any) -> Any:
    """Return the value for JSON: for a pool class, the name of its module."""
    if isinstance(value, type):
        return value.__module__.rpartition(".")[2]
    return list(value) if isinstance(value, tuple) else value


def read_by_click(arguments: List[str]) -> Tuple[str, Dict[str, Any]]:
    """Return the arguments for the callback of the command (Celery 5)."""
    click = importlib.import_module("click")
    group = importlib.import_module("celery.bin.celery").celery
    line = importlib.import_module("celery.bin.base").CLIContext
    try:
        outer = group.make_context("celery", list(arguments), auto_envvar_prefix="CELERY")
        outer.obj = line(app=Site.app, no_color=True, workdir=None)
        # Click 8.2 hides the name of the command; earlier versions print no warning.
        words = [*(getattr(outer, "_protected_args", None) or getattr(outer, "protected_args", [])), *outer.args]
        name, command, rest = group.resolve_command(outer, words)
        inner = command.make_context(name, rest, parent=outer)
    except click.ClickException as error:
        raise Refused(error.format_message()) from error
    if outer.params["app"] not in ("mysite", Site.app):
        raise Refused("the app did not arrive")
    return name, inner.params


def read_by_argparse(arguments: List[str]) -> Tuple[str, Dict[str, Any]]:
    """Return the arguments that the command would run with (Celery 4.4), after the first steps of its `run`."""
    first, app, name, *rest = arguments
    if (first, app) != ("-A", "mysite"):
        raise Refused("the app did not arrive")
    command = getattr(importlib.import_module("celery.bin.{}".format(name)), name)(app=Site.app)
    values, positional = command.parse_options("celery", rest, command=name)
    if positional:
        raise Refused("left over: {}".format(positional))
    values["loglevel"] = importlib.import_module("celery.utils.log").mlevel(values["loglevel"])
    if name == "worker":
        names = importlib.import_module("celery.utils.nodenames")
        values["hostname"] = names.host_format(names.default_nodename(values["hostname"]))
        values["pool"] = importlib.import_module("celery.concurrency").get_implementation(values["pool"])
        for queues in ("queues", "exclude_queues"):
            values[queues] = values[queues].split(",") if isinstance(values[queues], str) else None
        if values["autoscale"]:
            values["autoscale"] = [int(each) for each in values["autoscale"].split(",")]
    return name, values


IS_OLD = celery.__version__.startswith("4.")
read = read_by_argparse if IS_OLD else read_by_click


def serve() -> None:
    """Answer requests until stdin ends."""
    sys.modules["mysite"] = Site("mysite")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
