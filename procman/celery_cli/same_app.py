"""Decide whether a running worker or beat is one of a project's app; pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from procman.celery_cli.parse import CeleryCommand


class AppPlace(NamedTuple):
    """An app, by where it is: apps of two projects may have the same name."""

    app: str
    """As in `celery -A`."""
    directory: Path
    virtualenv: Path


def is_of_app(command: CeleryCommand, argv: Sequence[str], directory: Path | None, place: AppPlace) -> bool:
    """Return whether a process with the command line `argv` in the working directory `directory` runs the app.

    `command` is what `argv` starts; None: the directory is unknown.
    """
    app = str(command.project.get("app") or "").partition(":")[0].partition(".")[0]
    if app and app != place.app.partition(":")[0].partition(".")[0]:
        return False
    places = {directory, Path(str(command.project.get("directory") or "/"))}
    paths = [Path(word) for word in argv[:2] if word.startswith("/")]
    return place.directory in places or any(each.is_relative_to(place.virtualenv) for each in paths)
