"""Complete a draft from the directory of the project, the host and the app."""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from procman import left_behind
from procman.accounts import group_name, user_id
from procman.errors import ProcmanError
from procman.init.draft import Draft, keys_of
from procman.init.scan_project import FoundProject, find_project
from procman.init.settings_class import VARIABLE
from procman.init.virtualenvs import has_flower
from procman.model import Scope
from procman.probes.app import AppFacts, ask
from procman.probes.broker import ask_broker
from procman.probes.broker_facts import BrokerFacts
from procman.probes.runner import Place
from procman.subprocesses import SYSTEM_PATH

WRITTEN_BY_TASKS = ("MEDIA_ROOT", "TMP_DIR", "FILE_UPLOAD_TEMP_DIR")
"""Django settings that name a directory which tasks often write to; TMP_DIR is CATMAID's."""

BROKER_SECONDS = 10.0
CONNECT_SECONDS = 2.0

NO_NAME = {
    *("app", "apps", "backend", "code", "current", "data", "django", "project", "projects", "server", "src", "web"),
    *("home", "lib", "live", "local", "mnt", "opt", "production", "releases", "root", "srv", "staging", "tmp", "usr"),
    *("var", "www"),
}
"""Names of directories from which no project takes its name."""


def find_parts(draft: Draft, directory: Path, environment: Mapping[str, str]) -> None:
    """Search for the parts of the project that are still unknown, below its directory or else `directory`.

    Raises ProcmanError if there is no project, unless `draft` describes existing programs.
    """
    found = find_project(draft.path("directory") or directory, environment, draft.text("project", "app"))
    if found.is_empty and not draft.is_import:
        hint = "Name the directory of the project: procman init DIRECTORY. To import existing programs: --from PATH."
        raise ProcmanError(f"{directory}: {found.doubts['directory']} there or below", hint=hint)
    _take_remarks(draft, found)
    for key in ("directory", "settings", "app", "virtualenv"):
        value = getattr(found, key)
        if draft.is_import and _is_guess(draft, key):
            value = None
        if value is not None:
            draft.put("project", key, value, found.remarks.get(key, ""))
        elif key in found.doubts:
            draft.ask_for("project", key, found.doubts[key])
        if draft.get("project", key) is not None:
            draft.found(key, draft.get("project", key), found.remarks.get(key, "") if key == "app" else "")
    virtualenv = draft.path("virtualenv")
    if virtualenv and has_flower(virtualenv) and not draft.is_import:
        draft.has_flower = True
        draft.found("flower", "installed", "the file has a table for it: remove its #")


def _take_remarks(draft: Draft, found: FoundProject) -> None:
    """Take the parts that come with a remark or a warning: python_path, the settings and their class."""
    if found.python_path and not draft.is_import:
        remark = f"The app is imported from there, as {found.app}."
        draft.put("project", "python_path", [str(each) for each in found.python_path], remark)
        draft.found("python_path", ", ".join(map(str, found.python_path)))
    if "settings" in found.remarks and not draft.is_import:
        draft.warn(found.remarks["settings"])
        draft.settings_for_development = found.settings_for_development
    if found.settings_class.name and not draft.is_import:
        draft.tables.setdefault("environment", {}).setdefault(VARIABLE, found.settings_class.name)
        draft.found(VARIABLE, found.settings_class.name, f"named by {found.settings_class.source}")
    for warning in filter(None, (found.settings_class.note if not draft.is_import else "", *found.warnings)):
        draft.warn(warning)


def _is_guess(draft: Draft, key: str) -> bool:
    """Return whether `key`, found near the working directory, need not be that of the imported programs.

    Without DJANGO_SETTINGS_MODULE, an app has its own default, which need not be that of manage.py.
    """
    return key == "settings" or (key == "virtualenv" and draft.path("directory") is None)


def name_after_directory(draft: Draft, directory: Path, taken: Collection[str] = ()) -> None:
    """Name the project after the nearest directory with a usable name, or else after its app, but none of `taken`."""
    app = (draft.text("project", "app") or "").partition(".")[0]
    if draft.get("project", "name") is not None:
        return
    for candidate in (directory.name, *(parent.name for parent in directory.parents), app):
        name = re.sub(r"[^a-z0-9]+", "-", candidate.lower()).strip("-")
        is_valid = keys_of("project")["name"].type.problem(name, Path("/")) is None
        if is_valid and name not in (*NO_NAME, *taken):
            draft.put("project", "name", name)
            draft.found("name", draft.text("project", "name"), "programs are called NAME-KEY")
            return
    draft.ask_for("project", "name", "no directory has a name that is valid here; choose one")


def decide_user(draft: Draft, scope: Scope) -> None:
    """Decide the user of the programs: an imported one, or the owner of the directory; none in user scope."""
    project = draft.tables["project"]
    if scope is Scope.USER:
        for key in ("user", "group"):
            if key in project:
                note = "in user scope the programs run as the user who installs them"
                draft.found("not imported", f"{key} = {project.pop(key)}", note)
        return
    directory = draft.path("directory")
    owner = _owner(directory) if directory else None
    if owner and draft.is_import and "user" not in project:
        draft.warn(f"no imported program names its user: {owner} is used, the owner of {directory}")
    if owner:
        draft.put("project", "user", owner, f"The owner of {directory}.")
    draft.ask_for("project", "user", "unknown; often the user of the web server, such as www-data")
    user = draft.text("project", "user")
    if user:
        draft.found("user", user)
        if user_id(user) is None:
            so = ", so the app is not loaded" if os.geteuid() == 0 else ""
            draft.warn(f"user {user} does not exist on this host{so}: create it, or name another with --user")
    if user and project.get("group") == _primary_group(user):
        # It is the default.
        project.pop("group", None)


def _owner(directory: Path) -> str | None:
    """Return the owner of `directory`; None if it is root or unknown."""
    try:
        uid = directory.stat().st_uid
        return pwd.getpwuid(uid).pw_name if uid != 0 else None
    except (OSError, KeyError):
        return None


def _primary_group(user: str) -> str | None:
    try:
        return group_name(pwd.getpwnam(user).pw_gid)
    except KeyError:
        return user


def ask_app(draft: Draft, scope: Scope, timeout: float, likely: Collection[str] = ()) -> AppFacts | None:
    """Load the app as its user, never as root, and return its answers; None, with a warning, if it cannot be loaded.

    An unknown app is the `likely` one, if that can be loaded.
    """
    only = [app for app in likely if app] if draft.get("project", "app") is None else []
    if len(only) != 1:
        return _asked(draft, scope, timeout)
    app = only[0]
    draft.put("project", "app", app)
    facts = _asked(draft, scope, timeout)
    if facts:
        draft.found("app", app)
    else:
        del draft.tables["project"]["app"]
        draft.ask_for("project", "app", f"perhaps {app}, but it could not be loaded")
    return facts


def _asked(draft: Draft, scope: Scope, timeout: float) -> AppFacts | None:
    directory, virtualenv = draft.path("directory"), draft.path("virtualenv")
    app, user = draft.text("project", "app"), draft.text("project", "user")
    if not (directory and virtualenv and app):
        draft.warn("the app was not loaded, because app, directory or virtualenv is unknown")
        return None
    if os.geteuid() == 0 and user is None:
        again = "name a user with --user, and overwrite the file with --force"
        remedy = again if scope is Scope.SYSTEM else "run this command as the user of the programs"
        draft.warn(f"refusing to load the app as root, so its broker, queues and schedule are unknown: {remedy}")
        return None
    if os.geteuid() == 0 and user_id(user) is None:
        return None
    try:
        return _loaded(draft, directory, virtualenv, timeout)
    except ProcmanError as error:
        draft.warn(f"cannot load the app: {error.message}{_advice(error)}")
        return _loaded_for_development(draft, directory, virtualenv, timeout)


def _advice(error: ProcmanError) -> str:
    """Return the line of the hint that a note has room for, in parentheses: a remedy, or the place of the error."""
    lines = error.hint.splitlines() or [""]
    # The message may have the place in the project's code already.
    line = lines[-1] if " (at " not in error.message else lines[0] if lines[0].endswith(".") else ""
    return f" ({line})" if line else ""


def _loaded(draft: Draft, directory: Path, virtualenv: Path, timeout: float, **variables: str) -> AppFacts:
    place = _place(draft, directory, virtualenv, **variables)
    with left_behind.ended(user_id(place.user) or os.geteuid()):
        return ask(place, draft.text("project", "app") or "", settings=WRITTEN_BY_TASKS, timeout=timeout)


def _place(draft: Draft, directory: Path, virtualenv: Path, **variables: str) -> Place:
    runner = draft.text("project", "user") if os.geteuid() == 0 else None
    environment = _environment(draft, directory, virtualenv) | variables
    return Place(virtualenv / "bin" / "python", environment, directory, runner, group=None)


def ask_management(draft: Draft, url: str) -> BrokerFacts:
    """Connect to the broker of the app, which was loaded before, and to RabbitMQ's management interface at `url`.

    Raises ProcmanError, without loading the app again, if nothing listens there.
    """
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port or 0), CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise ProcmanError(f"{url}: {error}") from None
    directory, virtualenv = draft.path("directory"), draft.path("virtualenv")
    assert directory
    assert virtualenv
    where = _place(draft, directory, virtualenv)
    with left_behind.ended(user_id(where.user) or os.geteuid()):
        return ask_broker(where, draft.text("project", "app") or "", management_url=url, timeout=BROKER_SECONDS)


def _loaded_for_development(draft: Draft, directory: Path, virtualenv: Path, timeout: float) -> AppFacts | None:
    """Return what does not depend on the host from the settings that manage.py names; None if they fail as well."""
    settings = draft.settings_for_development
    if settings is None:
        return None
    with suppress(ProcmanError):
        facts = _loaded(draft, directory, virtualenv, timeout, DJANGO_SETTINGS_MODULE=settings)
        draft.warn(f"the queues and periodic tasks are those of {settings}: check them once the app can be loaded")
        return replace(facts, settings=None, broker_urls=(), missing_module=None, services=(), django={})
    return None


def _environment(draft: Draft, directory: Path, virtualenv: Path) -> dict[str, str]:
    """Return the environment that `launch` will give the programs, as far as the draft has it."""
    python_path = draft.tables["project"].get("python_path", [])
    environment = {
        "VIRTUAL_ENV": str(virtualenv),
        "PATH": f"{virtualenv / 'bin'}:{SYSTEM_PATH}",
        "PYTHONPATH": ":".join([str(directory), *map(str, python_path if isinstance(python_path, list) else [])]),
        "LANG": "C.UTF-8",
    }
    settings = draft.text("project", "settings")
    if settings:
        environment["DJANGO_SETTINGS_MODULE"] = settings
    environment |= {name: str(value) for name, value in draft.tables.get("environment", {}).items()}
    return environment | draft.variables_of_file | draft.secrets
