"""Asks the project's Celery app about itself, on the project's own Python and as its user (inside/probe.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procman.inside import probe
from procman.project_python import AppError, Place, ask_project
from procman.secrets import masked

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class BeatEntry:
    """One entry of the beat schedule, in Celery's words."""

    name: str
    task: str
    schedule: str


@dataclass(frozen=True)
class AppFacts:
    """What a Celery app says of itself; no secret is among it (S2). None or empty: it could not be told."""

    python: str
    """Its version, `3.8.18`."""
    versions: Mapping[str, str]
    """Of celery, kombu, billiard and django."""
    import_seconds: float
    settings: str | None
    """The settings module that Django really uses."""
    broker_urls: tuple[str, ...]
    transport: str
    broker_host: str | None
    broker_directories: tuple[str, ...]
    """What the filesystem transport writes to."""
    missing_module: str | None
    """What is not installed and the broker's client needs."""
    queues: tuple[str, ...]
    """What a worker consumes that is not told."""
    routed_queues: tuple[str, ...]
    """What tasks are sent to, by their routes, their own option or the beat schedule."""
    tasks: int
    beat_scheduler: str
    beat_schedule: tuple[BeatEntry, ...]
    options: Mapping[str, Any]
    """The other settings of Celery that matter here, by their name: `worker_concurrency`."""
    django: Mapping[str, Any]
    """The Django settings asked for, those that are set."""
    problems: Mapping[str, str]
    """What could not be told, and why."""


def ask(
    python: Path,
    app: str,
    *,
    environment: Mapping[str, str],
    directory: Path,
    user: str | None,
    group: str | None = None,
    settings: Sequence[str] = (),
    timeout: float = TIMEOUT_SECONDS,
) -> AppFacts:
    """Load APP with the Python of its virtualenv, in DIRECTORY and ENVIRONMENT, and return what it says.

    It runs as USER, for good; where that would be root, nothing is run and ProcmanError raised (S3). SETTINGS names
    the Django settings of interest. Raises AppError with the app's own error where it cannot be loaded.
    """
    place = Place(python, environment, directory, user, group)
    answer = ask_project(place, app, Path(probe.__file__), settings, timeout=timeout)
    if "error" in answer:
        raise _app_error(app, answer["error"])
    try:
        return _facts(answer)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AppError(f"{app}: the answer of the app cannot be understood ({error!r})") from None


def _app_error(app: str, error: Mapping[str, Any]) -> AppError:
    places = "\n".join(map(str, error.get("traceback", ())))
    return AppError(f"{app} cannot be loaded: {error.get('type')}: {error.get('message')}", hint=places)


def _facts(answer: Mapping[str, Any]) -> AppFacts:
    app: Mapping[str, Any] = answer["app"]
    broker = app["broker"] or {}
    return AppFacts(
        python=str(answer["python"]["version"]),
        versions={name: str(version) for name, version in answer["versions"].items() if version},
        import_seconds=float(answer["import_seconds"]),
        settings=app["settings_module"] and str(app["settings_module"]),
        broker_urls=tuple(masked(str(url)) for url in broker.get("urls", ())),
        transport=str(broker.get("transport", "")),
        broker_host=broker.get("host") and str(broker["host"]),
        broker_directories=tuple(map(str, broker.get("directories", ()))),
        missing_module=broker.get("missing_module") and str(broker["missing_module"]),
        queues=tuple(map(str, app["queues"] or ())),
        routed_queues=tuple(map(str, app["routed_queues"] or ())),
        tasks=int(app["tasks"] or 0),
        beat_scheduler=str(app["beat_scheduler"] or ""),
        beat_schedule=tuple(BeatEntry(**entry) for entry in app["beat_schedule"] or ()),
        options={name: app.get(name) for name in probe.PLAIN_OPTIONS},
        django=dict(app["settings"] or {}),
        problems={name: str(text) for name, text in app["problems"].items()},
    )
