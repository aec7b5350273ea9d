"""Query the project's Celery app on the project's own Python and as its user (app_script.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from procman.agent import broker_digest, routed_queues
from procman.probes import (
    app_backend_script,
    app_check_script,
    app_error_script,
    app_modules_script,
    app_opened_script,
    app_schedule_script,
    app_script,
    app_services_script,
    app_tables_script,
    broker_errors_script,
    broker_origin_script,
    broker_redis_script,
    broker_tls_script,
)
from procman.probes.runner import AppError, Place, ask_project
from procman.secrets import KnownSecrets, masked, recognise

TIMEOUT_SECONDS = 30.0

SOURCES = tuple(
    Path(str(module.__file__))
    for module in (
        recognise,
        app_error_script,
        routed_queues,
        app_opened_script,
        app_schedule_script,
        app_services_script,
        app_script,
    )
)
"""The texts that make up the probe, in order."""

_CHECKING = (
    broker_digest,
    broker_errors_script,
    broker_origin_script,
    broker_redis_script,
    broker_tls_script,
    app_tables_script,
    app_backend_script,
    app_modules_script,
    app_check_script,
)

CHECK_SOURCES = (SOURCES[0], *(Path(str(module.__file__)) for module in _CHECKING), *SOURCES[1:])
"""The same for a probe that judges command lines too."""


@dataclass(frozen=True)
class BeatEntry:
    """One entry of the beat schedule."""

    name: str
    task: str
    schedule: str
    """`every 5 minutes`, `cron 0 3 * * 1-5`, or else Celery's own text."""


@dataclass(frozen=True)
class Judged:
    """The judgement of the project's own Celery on one command line; empty fields: no error."""

    error: str = ""
    pool_error: str = ""
    queues_error: str = ""
    queues: tuple[str, ...] | None = None
    """The queues that the worker would consume; None: unknown, or not a worker."""
    state_file: str = ""
    """The file in which the worker keeps revoked tasks (`--statedb` or `worker_state_db`), as it is written."""
    scheduler: str = ""
    """Beat's scheduler class, as MODULE:NAME."""
    scheduler_error: str = ""
    keeps_file: bool | None = None
    """Whether beat's scheduler keeps a schedule file; None: unknown, or not a beat."""
    answers_ping: bool = False
    """Whether beat answers `celery inspect ping` (`--enable-remote-control`)."""
    schedule_trouble: str | None = None
    """Why beat could not read its schedule from a database or Redis: `tables`, `database`, `refusal` or a kind of
    broker_remedies.py. Empty: it could; None: unknown, or the schedule is in a file."""
    schedule_error: str = ""


@dataclass(frozen=True)
class ResultBackend:
    """The result backend of the app, as a worker loads it when it starts."""

    url: str = ""
    """Without its password; empty: the app has none."""
    trouble: str = ""
    """The kind of its fault, a key of `TROUBLES` in preflight/result_backend.py; empty: none is known."""
    detail: str = ""
    starts: bool = True
    """Whether a worker starts with that fault."""
    origin: str = ""
    """Where its URL is set; empty: unknown."""


@dataclass(frozen=True)
class Written:
    """A file or directory that the app's settings or logging configuration names."""

    what: str
    """`MEDIA_ROOT`, `log`, `cache default`, `database default`..."""
    path: Path
    writable: bool
    """For the programs' user on the host, without the restrictions of a sandbox."""


@dataclass(frozen=True)
class Service:
    """A server that the app connects to."""

    what: str
    """Its use: `broker`, `result backend`, `database default`, `cache default`."""
    kind: str
    """The server's program: `postgresql`, `mysql`, `redis`, `memcached`, `mongodb` or `rabbitmq`."""
    host: str
    """Empty for a socket file, or if the client's default applies."""
    port: int | None


@dataclass(frozen=True)
class AppFacts:
    """Facts about a Celery app, without secrets (S2). None or empty: unknown."""

    python: str
    """Python's version, `3.8.18`."""
    versions: Mapping[str, str]
    """Of celery, kombu, billiard and django."""
    import_seconds: float
    settings: str | None
    """The settings module that Django actually uses."""
    broker_urls: tuple[str, ...]
    transport: str
    broker_directories: tuple[str, ...]
    """The directories that the filesystem transport writes to."""
    missing_module: str | None
    """The missing client library of the broker."""
    queues: tuple[str, ...]
    """The queues that a worker consumes by default."""
    routed_queues: tuple[str, ...]
    """The queues that tasks are sent to, by their routes, their own option or the beat schedule."""
    tasks: int
    beat_scheduler: str
    beat_schedule: tuple[BeatEntry, ...]
    options: Mapping[str, Any]
    """The other Celery settings that matter here, by name: `task_acks_late`."""
    django: Mapping[str, Any]
    """The requested Django settings that are set."""
    problems: Mapping[str, str]
    """By field: why it is unknown."""
    judged: Mapping[str, Judged] = field(default_factory=dict)
    """The judgement on each of `commands`, by the same names."""
    written: tuple[Written, ...] = ()
    """Empty unless `commands` were given."""
    brokers: tuple[str, ...] = ()
    """The digests of the brokers that tasks are sent to; empty: unknown, or no `commands` were given."""
    memory_mib: float | None = None
    """The memory that Python needs once it has loaded the app."""
    loaded_twice: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of each of the project's files that were loaded as several modules; empty without `commands`."""
    services: tuple[Service, ...] = ()
    """The servers of known kinds that the app's settings name."""
    result_backend: ResultBackend = ResultBackend()
    """Without a fault unless `commands` were given."""
    timezone: str = ""
    """The time zone of the beat schedule, such as `Europe/Berlin` or `UTC`."""
    opened: tuple[Path, ...] | None = None
    """The environment files (`.env`) that the project's code opened; None: unknown, before Python 3.8."""


def ask(
    place: Place,
    app: str,
    *,
    settings: Sequence[str] = (),
    commands: Mapping[str, Sequence[str]] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> AppFacts:
    """Load `app` in `place` and return facts about it.

    `settings` names the Django settings to return. `commands`, by any names, are arguments of `celery` for the
    project's own Celery to judge. Raises what `ask_project` raises, and AppError with the app's own error if it cannot
    be loaded.
    """
    sources, arguments = SOURCES, [*settings]
    if commands is not None:
        sources = CHECK_SOURCES
        arguments.append(json.dumps({name: list(words) for name, words in commands.items()}))
    answer = ask_project(place, app, sources, arguments, timeout=timeout)
    if "error" in answer:
        error = answer["error"]
        remedy = place.remedy_without(str(error["variable"])) if error.get("variable") else ""
        at = f" (at {error['place']})" if error.get("place") else ""
        message = place.secrets.masked(f"{app} cannot be loaded: {error.get('type')}: {error.get('message')}{at}")
        hint = "\n".join(filter(None, (remedy, *map(str, error.get("traceback", ())))))
        raise AppError(message, hint=place.secrets.masked(hint))
    try:
        return _facts(answer, place)
    except (AttributeError, KeyError, TypeError, ValueError) as reason:
        raise AppError(f"{app}: the app's answer is invalid: {reason!r}") from None


def _facts(answer: Mapping[str, Any], place: Place) -> AppFacts:
    secrets = place.secrets
    app: Mapping[str, Any] = answer["app"]
    broker, checked = app["broker"] or {}, answer.get("check", {})
    return AppFacts(
        python=str(answer["python"]["version"]),
        versions={name: str(version) for name, version in answer["versions"].items() if version},
        import_seconds=float(answer["import_seconds"]),
        settings=app["settings_module"] and str(app["settings_module"]),
        broker_urls=tuple(masked(str(url)) for url in broker.get("urls", ())),
        transport=str(broker.get("transport", "")),
        broker_directories=tuple(map(str, broker.get("directories", ()))),
        missing_module=broker.get("missing_module") and str(broker["missing_module"]),
        queues=tuple(map(str, app["queues"] or ())),
        routed_queues=tuple(map(str, app["routed_queues"] or ())),
        tasks=int(app["tasks"] or 0),
        beat_scheduler=str(app["beat_scheduler"] or ""),
        beat_schedule=tuple(BeatEntry(**entry) for entry in app["beat_schedule"] or ()),
        options={name: app.get(name) for name in (*app_script.PLAIN_OPTIONS, "accept_content")},
        django=dict(app["settings"] or {}),
        problems={name: secrets.masked(str(text)) for name, text in app["problems"].items()},
        judged={name: _judged(each, secrets) for name, each in checked.get("commands", {}).items()},
        written=tuple(
            Written(str(each["what"]), Path(each["path"]), bool(each["writable"])) for each in checked.get("writes", ())
        ),
        brokers=tuple(map(str, checked.get("brokers", ()))),
        memory_mib=app["memory_kib"] and float(app["memory_kib"]) / 1024,
        loaded_twice={str(path): tuple(map(str, names)) for path, names in checked.get("loaded_twice", {}).items()},
        services=tuple(
            Service(str(each["what"]), str(each["kind"]), str(each["host"]), each["port"] and int(each["port"]))
            for each in app["services"] or ()
        ),
        result_backend=_result_backend(checked.get("backend") or {}, place),
        timezone=str(app["timezone"] or "").strip("<>"),
        opened=None if answer["opened"] is None else tuple(map(Path, answer["opened"])),
    )


def _result_backend(found: Mapping[str, Any], place: Place) -> ResultBackend:
    url, trouble, detail = (str(found.get(name) or "") for name in ("url", "trouble", "detail"))
    # A name such as django-db, which may be in the environment file, is no secret.
    url = place.secrets.masked(url) if "://" in url else url
    origin = place.origin_found(found.get("origin") or {})
    return ResultBackend(url, trouble, place.secrets.masked(detail), bool(found.get("starts", True)), origin)


def _judged(found: Mapping[str, Any], secrets: KnownSecrets) -> Judged:
    texts = ("error", "pool_error", "queues_error", "scheduler", "scheduler_error", "schedule_error", "state_file")
    return Judged(
        **{name: secrets.masked(str(found.get(name) or "")) for name in texts},
        queues=None if found["queues"] is None else tuple(map(str, found["queues"])),
        keeps_file=found["keeps_file"],
        schedule_trouble=None if found["schedule_trouble"] is None else str(found["schedule_trouble"]),
        answers_ping=bool(found.get("answers_ping")),
    )
