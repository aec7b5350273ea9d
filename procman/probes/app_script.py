"""Query a Celery app as its worker would see it, and answer with one line of JSON.

procman passes this text to the project's own Python on stdin, so that the service user needs no access to a file:

    VIRTUALENV/bin/python - APP [SETTING ...] [JSON]

It runs as the service user, in the project's directory and in the environment that the programs will have. It loads
APP as `celery -A APP worker` does, including its tasks. Each SETTING is a Django setting to include in the answer,
unless its name is that of a secret. The answer is the last line of stdout that begins with MARKER; the project's own
output goes to stderr. The answer has no password, no value of another setting, and no line of the project's code. JSON
requests the field "check" as well; it is for app_check_script.py. Its text then comes before this one, as those of
agent/routed_queues.py, app_opened_script.py, app_schedule_script.py and app_services_script.py always do.

The answer has "format" 1. New fields may be added; a field that changes its meaning makes it format 2. It always has
"python" and "versions", and either "error" or "app", where "problems" has a message for each field that is unknown.
"""

import functools
import importlib
import json
import os
import sys
import time
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Set, Tuple

if __name__ == "procman.probes.app_script":
    # As a probe, this text comes after theirs.
    from procman.agent.routed_queues import routed_queues
    from procman.probes.app_error_script import error_facts, message_of
    from procman.probes.app_opened_script import watch_opened
    from procman.probes.app_schedule_script import beat_schedule
    from procman.probes.app_services_script import broker, services
    from procman.secrets.recognise import is_secret_name, masked, values_of

FORMAT = 1
MARKER = "procman-probe:"


# Secrets -------------------------------------------------------------------------------------------------------------


def known_values(name: object, value: object, depth: int = 4) -> Iterator[str]:
    """Yield the secrets in the value of a setting or variable, up to `depth` levels of dictionaries and lists."""
    # Only these exact types: the methods of any other could do anything, such as connect to a broker.
    if type(value) is str:
        yield from values_of({name if type(name) is str else "": value})
    elif type(value) is dict and depth:
        for key, each in list(value.items()):
            # The examples in a module's __doc__ are no secrets.
            if key != "__doc__":
                yield from known_values(key, each, depth - 1)
    elif type(value) in (list, tuple) and depth:
        for each in value:  # type: ignore[attr-defined]
            yield from known_values(name, each, depth - 1)


def masked_everywhere(value: Any, secrets: Set[str]) -> Any:
    """Return the JSON `value` with every string masked, except names."""
    if isinstance(value, dict):
        return {key: masked_everywhere(each, secrets) for key, each in value.items()}
    if isinstance(value, list):
        return [masked_everywhere(each, secrets) for each in value]
    return masked(value, secrets) if isinstance(value, str) else value


def known_secrets(error: Optional[BaseException]) -> Set[str]:
    """Collect the secrets in the environment, Django's settings and the frames that `error` passed through."""
    places = [dict(os.environ), _django_settings()]
    while error is not None:
        frame = error.__traceback__
        while frame is not None:
            places += [frame.tb_frame.f_globals, frame.tb_frame.f_locals]
            frame = frame.tb_next
        error = error.__cause__
    return {secret for place in places for secret in known_values("", dict(place))}


# The answer ----------------------------------------------------------------------------------------------------------


def answer(app_name: str, setting_names: Iterable[str], commands: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """Load the app and return the answer about it; an error becomes part of the answer."""
    python = {"version": ".".join(map(str, sys.version_info[:3]))}
    found = {"format": FORMAT, "python": python}  # type: Dict[str, Any]
    error = None  # type: Optional[BaseException]
    opened, start = watch_opened(), time.monotonic()
    try:
        app = load(app_name)
        found["import_seconds"] = round(time.monotonic() - start, 3)
        found["opened"] = opened
        found["app"] = _app(app, setting_names)
        if commands is not None:
            found["check"] = globals()["check_app"](app, commands)
    except BaseException as caught:
        # Settings may call sys.exit().
        error = caught
        found["error"] = error_facts(caught)
    found["versions"] = {name: _version(name) for name in ("celery", "kombu", "billiard", "django")}
    return dict(masked_everywhere(found, known_secrets(error)))


def load(app_name: str) -> Any:
    """Import the app and its tasks, as a worker does when it starts; this includes Django's checks."""
    app = importlib.import_module("celery.app.utils").find_app(app_name)
    _load_settings()
    app.finalize()
    app.loader.import_default_modules()
    return app


def _load_settings() -> None:
    """Import Django's settings if the app uses them: Celery hides a KeyError in them until a worker has started."""
    django_conf = sys.modules.get("django.conf")
    if django_conf is not None and os.environ.get("DJANGO_SETTINGS_MODULE"):
        getattr(django_conf.settings, "DEBUG", None)


def _version(name: str) -> Optional[str]:
    module = sys.modules.get(name)
    version = getattr(module, "__version__", None)
    return str(version) if version else None


def _app(app: Any, setting_names: Iterable[str]) -> Dict[str, Any]:
    fields = {
        "name": lambda: str(app.main or ""),
        "settings_module": _settings_module,
        "broker": lambda: broker(app),
        "services": lambda: services(app),
        "queues": lambda: sorted(app.amqp.queues.consume_from),
        "routed_queues": lambda: sorted(routed_queues(app)),
        "beat_scheduler": lambda: _dotted(app.conf.beat_scheduler),
        "beat_schedule": lambda: beat_schedule(app),
        "timezone": lambda: str(app.timezone),
        "accept_content": lambda: sorted(map(str, app.conf.accept_content)),
        "tasks": lambda: len([name for name in app.tasks if not name.startswith("celery.")]),
        "memory_kib": _memory_kib,
        "settings": lambda: dict(_settings(setting_names)),
    }  # type: Dict[str, Callable[[], Any]]
    for name in PLAIN_OPTIONS:
        fields[name] = functools.partial(_option, app, name)
    return _ask(fields)


PLAIN_OPTIONS = (
    "task_acks_late",
    "task_always_eager",
    "task_time_limit",
    "worker_concurrency",
    "worker_max_memory_per_child",
    "worker_pool",
)


def _ask(fields: Mapping[str, Callable[[], Any]]) -> Dict[str, Any]:
    answers, problems = {}, {}
    for name, ask in fields.items():
        try:
            answers[name] = ask()
        except Exception as error:
            answers[name] = None
            problems[name] = "%s: %s" % (type(error).__name__, message_of(error))
    answers["problems"] = problems
    return answers


def _memory_kib() -> Optional[int]:
    """Return the memory of this process without the files that it has mapped, which the kernel can drop (proc(5))."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        lines = [line.split() for line in status if line.startswith("RssAnon:")]
    return int(lines[0][1]) if lines else None


def _option(app: Any, name: str) -> object:
    # None also if this Celery does not know the option.
    return _plain(getattr(app.conf, name, None))


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float, str)) else _dotted(value)


def _dotted(value: object) -> str:
    if isinstance(value, type):
        return "%s:%s" % (value.__module__, value.__qualname__)
    return str(value)


def _django_settings() -> Dict[str, Any]:
    module = sys.modules.get(_settings_module() or "")
    return dict(vars(module)) if module else {}


def _settings_module() -> Optional[str]:
    # Without an import: an app that does not use Django must not start to.
    django_conf = sys.modules.get("django.conf")
    if django_conf is None or not django_conf.settings.configured:
        return None
    return django_conf.settings.SETTINGS_MODULE or None


def _settings(names: Iterable[str]) -> Iterator[Tuple[str, object]]:
    django_conf = sys.modules.get("django.conf")
    for name in names:
        if django_conf is None or is_secret_name(name):
            continue
        value = getattr(django_conf.settings, name, None)
        if value is not None:
            yield name, _plain(value)


# Input and output ----------------------------------------------------------------------------------------------------


def take_stdout() -> int:
    """Return a private descriptor of stdout; afterwards file descriptor 1 is stderr, and stdin is empty."""
    own = os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return own


def write(descriptor: int, found: Mapping[str, Any]) -> None:
    # A file name that is not UTF-8 has halves of characters, which procman does not accept.
    text = json.dumps(found, default=str, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
    data = ("\n%s%s\n" % (MARKER, json.dumps(json.loads(text)))).encode("ascii")
    while data:
        data = data[os.write(descriptor, data) :]


def main() -> None:
    descriptor = take_stdout()
    app_name, setting_names = sys.argv[1], sys.argv[2:]
    commands = json.loads(setting_names.pop()) if setting_names and setting_names[-1].startswith("{") else None
    # Settings may read both; give them what a worker would see.
    sys.path[:] = [os.getcwd()] + [directory for directory in sys.path if directory]
    sys.argv[:] = [os.path.join(os.path.dirname(sys.executable), "celery"), "-A", app_name, "worker"]
    write(descriptor, answer(app_name, setting_names, commands))
    # Do not wait for the project's threads and exit handlers.
    os._exit(0)


if __name__ == "__main__":
    main()
