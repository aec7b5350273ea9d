"""`procman init`: find out how a project runs its Celery, and write a procman.toml with comments."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from procman import left_behind
from procman.accounts import user_id
from procman.backends.supervisor.configuration.discovery import find_configurations, find_configurations_around
from procman.config.trust import require_trust
from procman.errors import ConfigurationError, ProcmanError
from procman.init.app_answers import take_facts
from procman.init.draft import Discovery, Draft, keys_of
from procman.init.health_key import set_watcher
from procman.init.import_supervisor import read_existing
from procman.init.scan_host import choose_supervisord, main_file_of, main_files, set_systemd_version
from procman.init.scan_project import find_project
from procman.init.write_toml import text_of
from procman.model import BackendName, Scope
from procman.probes.app import TIMEOUT_SECONDS, AppFacts, ask
from procman.probes.runner import Place
from procman.subprocesses import SYSTEM_PATH

FILE = "procman.toml"
WRITTEN_BY_TASKS = ("MEDIA_ROOT", "TMP_DIR", "FILE_UPLOAD_TEMP_DIR")
"""Django settings that name a directory which tasks often write to; TMP_DIR is CATMAID's."""

NO_NAME = {
    *("app", "apps", "backend", "code", "current", "django", "project", "projects", "server", "src", "web"),
    *("home", "lib", "local", "mnt", "opt", "releases", "root", "srv", "tmp", "usr", "var", "www"),
}
"""Names of directories from which no project takes its name."""


@dataclass(frozen=True)
class InitReport:
    """The findings, and the procman.toml made from them. Nothing is written yet."""

    findings: tuple[Discovery, ...]
    text: str
    fill_in: tuple[str, ...]
    """The keys that the user has to fill in, as `project.user: reason`."""
    warnings: tuple[str, ...]
    scope: Scope
    adopts: Path | None
    """The file of supervisord whose programs the install can adopt."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables that belong into the environment file, if the text names one."""


def init(
    directory: Path,
    *,
    name: str | None = None,
    app: str | None = None,
    user: str | None = None,
    scope: Scope | None = None,
    from_file: Path | None = None,
    secrets_file: Path | None = None,
    environment: Mapping[str, str],
    root: Path = Path("/"),
    timeout: float = TIMEOUT_SECONDS,
) -> InitReport:
    """Search `directory` and below for a project, load its app, inspect the host, and return the procman.toml.

    The arguments override `from_file`, a configuration of supervisord, which overrides the findings. `secrets_file` is
    the environment file for its secrets, beside the procman.toml; None: the user has to create one. `environment` is
    the caller's, for PATH and VIRTUAL_ENV; `root` is the root directory of the host. The app is loaded as the user,
    never as root, for at most `timeout` seconds.
    """
    directory = directory.absolute()
    draft = Draft({"project": {}})
    is_for_host = os.geteuid() == 0 or user is not None or from_file is not None
    scope = scope or (Scope.SYSTEM if is_for_host else Scope.USER)
    _put_options(draft, name=name, app=app, user=user, scope=scope.value, backend=BackendName.SUPERVISOR.value)
    mains = main_files(find_configurations(environment, root), draft)
    reader, adopts = None, None
    if from_file:
        from_file = from_file.absolute()
        reader = main_file_of(from_file, mains) or main_file_of(
            from_file, main_files(find_configurations_around(from_file), draft)
        )
        here = reader.path.parent if reader else from_file.parent
        read_existing(draft, from_file, here, name, manages_supervisord=reader is not None)
        adopts = from_file if reader and draft.tables.keys() - {"project"} else None
        _place_secrets(draft, from_file, secrets_file)
    _look(draft, directory, environment)
    _name(draft, directory)
    _decide_user(draft, scope)
    if not any(table.startswith("worker.") for table in draft.tables):
        draft.tables["worker.celery"] = {}
    facts = _ask(draft, scope, timeout)
    if facts:
        take_facts(draft, facts, scope, root)
    choose_supervisord(draft, scope, mains, root, reader)
    set_systemd_version(draft, root)
    set_watcher(draft, scope)
    return _report(draft, scope, adopts)


def write(text: str, path: Path, *, force: bool, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Write `text` to `path`, which must not exist unless `force`; return why root would refuse to use it."""
    place = path.absolute()
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    if place.is_dir():
        raise ProcmanError(f"{path} is a directory", hint=f"Name a file: {path / FILE}")
    try:
        _create(temporary if force else place, text)
        if force:
            temporary.replace(place)
    except OSError as error:
        if force:
            with suppress(OSError):
                temporary.unlink()
        elif isinstance(error, FileExistsError):
            raise ProcmanError(f"{path} already exists", hint="Use --force to overwrite it.") from None
        hint = "Run the same command with sudo, or name another file with --output."
        raise ProcmanError(
            f"cannot write {path}: {error.strerror}", hint=hint if isinstance(error, PermissionError) else ""
        ) from None
    try:
        require_trust(place, environment)
    except ConfigurationError as distrusted:
        return tuple(map(str, distrusted.problems))
    return ()


def _create(path: Path, text: str) -> None:
    # Exclusive creation follows no symbolic link, not even a dangling one.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _put_options(draft: Draft, **options: str | None) -> None:
    problems = []
    for option, value in options.items():
        problem = keys_of("project")[option].type.problem(value, Path("/")) if value is not None else None
        if problem:
            problems.append(f"--{option} {value}: {problem}")
        elif value is not None:
            draft.put("project", option, value)
    if problems:
        raise ConfigurationError(problems)


def _place_secrets(draft: Draft, source: Path, secrets_file: Path | None) -> None:
    if not draft.secrets:
        return
    names = ", ".join(draft.secrets)
    if secrets_file is not None:
        draft.put("project", "environment_file", secrets_file.name, f"With {names} of {source}.")
    else:
        draft.ask_for("project", "environment_file", f"put the secrets of {source} into this file: {names}")
        draft.warn(f"{source} sets secrets, which are not imported: put them into the file named by environment_file")


def _look(draft: Draft, directory: Path, environment: Mapping[str, str]) -> None:
    found = find_project(draft.path("directory") or directory, environment)
    for key in ("directory", "settings", "app", "virtualenv"):
        value = getattr(found, key)
        if value is not None:
            draft.put("project", key, value)
        elif key in found.doubts:
            draft.ask_for("project", key, found.doubts[key])
        if draft.get("project", key) is not None:
            draft.found(key, draft.get("project", key))


def _name(draft: Draft, directory: Path) -> None:
    app = (draft.text("project", "app") or "").partition(".")[0]
    for candidate in (directory.name, *(parent.name for parent in directory.parents), app):
        name = re.sub(r"[^a-z0-9]+", "-", candidate.lower()).strip("-")
        if name not in NO_NAME and keys_of("project")["name"].type.problem(name, Path("/")) is None:
            draft.put("project", "name", name)
            draft.found("name", draft.text("project", "name"), "programs are called NAME-KEY")
            return
    draft.ask_for("project", "name", "no directory has a name that is valid here; choose one")


def _decide_user(draft: Draft, scope: Scope) -> None:
    project = draft.tables["project"]
    if scope is Scope.USER:
        for key in ("user", "group"):
            if key in project:
                draft.found(
                    "not imported",
                    f"{key} = {project.pop(key)}",
                    "in user scope the programs run as the user who installs them",
                )
        return
    directory = draft.path("directory")
    owner = _owner(directory) if directory else None
    if owner:
        draft.put("project", "user", owner, f"The owner of {directory}.")
    draft.ask_for("project", "user", "unknown; often the user of the web server, such as www-data")
    user = draft.text("project", "user")
    if user:
        draft.found("user", user)
        if user_id(user) is None:
            draft.warn(f"user {user} does not exist on this host")


def _owner(directory: Path) -> str | None:
    """Return the owner of `directory`; None if it is root or unknown."""
    try:
        uid = directory.stat().st_uid
        return pwd.getpwuid(uid).pw_name if uid != 0 else None
    except (OSError, KeyError):
        return None


def _ask(draft: Draft, scope: Scope, timeout: float) -> AppFacts | None:
    directory, virtualenv = draft.path("directory"), draft.path("virtualenv")
    app, user = draft.text("project", "app"), draft.text("project", "user")
    if not (directory and virtualenv and app):
        draft.warn("the app was not loaded, because app, directory or virtualenv is unknown")
        return None
    if os.geteuid() == 0 and user is None:
        remedy = "name a user with --user" if scope is Scope.SYSTEM else "run this command as the user of the programs"
        draft.warn(f"refusing to load the app as root: {remedy}")
        return None
    try:
        runner = user if os.geteuid() == 0 else None
        environment = _environment(draft, directory, virtualenv)
        place = Place(virtualenv / "bin" / "python", environment, directory, runner, group=None)
        with left_behind.ended(user_id(runner) or os.geteuid()):
            facts = ask(place, app, settings=WRITTEN_BY_TASKS, timeout=timeout)
    except ProcmanError as error:
        last = f" ({error.hint.splitlines()[-1]})" if error.hint else ""
        draft.warn(f"cannot load the app: {error.message}{last}")
        return None
    return facts


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
    return environment | draft.secrets


def _report(draft: Draft, scope: Scope, adopts: Path | None) -> InitReport:
    for key in ("name", "app", "directory", "virtualenv"):
        draft.ask_for("project", key, "not found")
    return InitReport(
        findings=tuple(draft.findings),
        text=text_of(draft),
        fill_in=tuple(f"{key}: {reason}" for key, reason in draft.fill_in.items()),
        warnings=tuple(draft.warnings),
        scope=scope,
        adopts=adopts,
        secrets=dict(draft.secrets),
    )
