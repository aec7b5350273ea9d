"""Find the projects that procman has installed, and read their manifests."""

import os
from typing import NamedTuple, Optional, Tuple

from . import files
from .values import count, flag, items, number, text

OF_HOST = "/var/lib/procman"
OF_SUPERVISORD = "supervisor"
"""The directory of the supervisord that procman runs itself; it is private."""

MANIFEST_BYTES = 8 * 1024 * 1024
FORMAT = 1
"""The format of manifests that this app reads."""

STALE_SECONDS, INTERVAL_SECONDS = 30, 30
"""procman's own defaults."""


class Program(NamedTuple):
    """A program as the manifest has it."""

    name: str
    kind: str
    autostart: Optional[bool]
    has_heartbeat: bool
    stop_timeout_seconds: Optional[float]


class Project(NamedTuple):
    """An installed project."""

    name: str
    place: str
    """The directory of all projects' state; that of this one is below it, with the name of the project."""
    scope: str
    """`system`, `user`, or unknown."""
    backend: str
    procman: str
    """The version of procman that installed it."""
    stale_seconds: float
    interval_seconds: float = INTERVAL_SECONDS
    programs: Tuple[Program, ...] = ()
    problem: str = ""
    """Why its programs cannot be shown; empty if they can."""


def places(setting=None, environment=os.environ):
    """Return the directories with the state of projects: that of the host, and that of this user."""
    if setting:
        return (str(setting),)
    of_user = environment.get("XDG_STATE_HOME", "")
    if not of_user.startswith("/"):
        of_user = os.path.join(os.path.expanduser("~"), ".local", "state")
    return (OF_HOST, os.path.join(of_user, "procman"))


def installed_projects(where):
    """Return the projects installed in the directories `where`, and why a directory could not be read."""
    found, problems = [], []
    for place in where:
        try:
            names = files.names_in(place, ())
        except files.Unreadable as error:
            problems.append(str(error))
            continue
        for name in names:
            # A page could not even show the bytes of some names.
            if name.startswith(".") or not name.isprintable():
                continue
            try:
                project = read_project(place, name)
            except files.Unreadable as error:
                problems.append(str(error))
                continue
            if project is not None:
                found.append(project)
    return found, problems


def read_project(place, name):
    """Return the project `name` in the directory `place`; None if there is none, or it is not installed any more.

    Raises Unreadable if its directory may not be read.
    """
    try:
        target = files.link_in(place, (name, "current"))
    except files.Unreadable as error:
        # Beside the projects there are files, links and a private directory of procman's own.
        if error.is_denied and name != OF_SUPERVISORD:
            raise
        return None
    if target is None:
        return None
    directory, _, generation = target.partition("/")
    if directory != "generations" or not generation.isdecimal():
        return None
    try:
        content = files.read(place, (name, directory, generation, "manifest.json"), MANIFEST_BYTES + 1)
        if content is None:
            return _unreadable(place, name, "its manifest is missing")
        return _project(place, name, files.parse(content, MANIFEST_BYTES))
    except files.Unreadable as error:
        return _unreadable(place, name, str(error))
    except ValueError as error:
        return _unreadable(place, name, "its manifest cannot be read: %s" % error)


def _unreadable(place, name, problem):
    return Project(name, place, "", "", "", STALE_SECONDS, problem=problem)


def _project(place, name, manifest):
    written = number(manifest, "format")
    if written is None or written > FORMAT:
        return _unreadable(place, name, "its manifest is of a newer procman (format %s)" % written)
    health = manifest.get("health")
    stale = number(health, "stale_seconds") or STALE_SECONDS
    programs = tuple(filter(None, map(_program, items(manifest, "programs"))))
    return Project(
        name,
        place,
        text(manifest, "scope") or "",
        text(manifest, "backend") or "",
        text(manifest, "procman") or "",
        stale,
        number(health, "interval_seconds") or INTERVAL_SECONDS,
        programs,
    )


def _program(found):
    name, kind = text(found, "name"), text(found, "kind")
    if not files.is_name(name) or kind is None:
        return None
    has_heartbeat = kind in ("worker", "beat") and flag(found, "launcher") is not False
    return Program(name, kind, flag(found, "autostart"), has_heartbeat, count(found, "stop_timeout_seconds"))
