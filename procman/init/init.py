"""`procman init`: find out how a project runs its Celery, and write a procman.toml with comments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from procman.backends.supervisor.configuration.discovery import find_configurations, find_configurations_around
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.config.find_file import working_directory
from procman.errors import ConfigurationError
from procman.init.app_answers import take_facts
from procman.init.complete import ask_app, ask_management, decide_user, find_parts, name_after_directory
from procman.init.dotenv_file import ask_with_dotenv
from procman.init.draft import Discovery, Draft, keys_of
from procman.init.environment_file import path_beside
from procman.init.health_key import set_watcher
from procman.init.importing.existing import Existing, Remark
from procman.init.importing.formats import read_sources
from procman.init.importing.names import free_project_name
from procman.init.importing.refused import take_out_refused
from procman.init.importing.remarks import JoinedRemark, joined
from procman.init.importing.select import Selection, belongs_to, selection
from procman.init.importing.take import became, take_programs, take_project
from procman.init.importing.variables import share_environment
from procman.init.management_url import suggest_management_url
from procman.init.running_programs import mention_running
from procman.init.scan_host import choose_supervisord, main_file_of, main_files, runs_systemd, set_systemd_version
from procman.init.write_file import FILE, default_path
from procman.init.write_toml import text_of
from procman.model import BackendName, Scope
from procman.probes.app import TIMEOUT_SECONDS
from procman.sources import SUPERVISOR


@dataclass(frozen=True)
class NewProject:
    """A procman.toml, and the findings that it is made from. Nothing is written yet."""

    path: Path | None
    """Where it belongs; None: standard output."""
    name: str | None
    findings: tuple[Discovery, ...]
    text: str
    fill_in: tuple[str, ...]
    """The keys that the user has to fill in, as `project.user: reason`."""
    warnings: tuple[str, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables that belong into the environment file, if the text names one."""
    programs: Mapping[str, tuple[Existing, ...]] = field(default_factory=dict)
    """The existing programs that each table comes from."""
    backend: BackendName = BackendName.SUPERVISOR


@dataclass(frozen=True)
class InitReport:
    """The projects that init found, several if the imported programs have several apps or users."""

    projects: tuple[NewProject, ...]
    scope: Scope
    remarks: tuple[JoinedRemark, ...] = ()
    """About the imported files."""
    left_out: tuple[Existing, ...] = ()
    """The programs that start Celery and are not imported."""


@dataclass(frozen=True)
class _Request:
    """What the caller wants, and the programs that were chosen for it; None: nothing is imported."""

    directory: Path
    output: Path | None
    in_default_place: bool
    options: Mapping[str, str | None]
    scope: Scope
    environment: Mapping[str, str]
    root: Path
    timeout: float
    chosen: Selection | None


def init(
    directory: Path,
    *,
    name: str | None = None,
    app: str | None = None,
    user: str | None = None,
    scope: Scope | None = None,
    sources: Sequence[str] = (),
    output: Path | None = None,
    in_default_place: bool = False,
    environment: Mapping[str, str],
    root: Path = Path("/"),
    timeout: float = TIMEOUT_SECONDS,
) -> InitReport:
    """Search `directory` and below for a project, load its app, inspect the host, and return the procman.toml.

    The arguments override `sources`, existing process files, units or directories of them, which override the findings.
    `output` is the path of the procman.toml, beside which the environment file for its secrets belongs; None:
    standard output, and the user has to create one. With `in_default_place`, it is decided by the name instead.
    `environment` is the caller's, for PATH and VIRTUAL_ENV; `root` is the root directory of the host. The app is
    loaded as the user, never as root, for at most `timeout` seconds.
    """
    options = {"name": name, "app": app, "user": user}
    _put_options(Draft({"project": {}}), **options)
    decided = [key for key in ("app", "user") if options[key] is not None]
    chosen = selection(read_sources(sources, environment, root), user, decided) if sources else None
    is_for_host = os.geteuid() == 0 or user is not None or (chosen and not belongs_to(chosen, os.geteuid()))
    scope = scope or (Scope.SYSTEM if is_for_host else Scope.USER)
    options["scope"] = scope.value
    top = working_directory(environment) / directory
    request = _Request(top, output, in_default_place, options, scope, environment, root, timeout, chosen)
    projects, remarks = _projects(request)
    return InitReport(tuple(projects), scope, tuple(joined(remarks)), _left_out(chosen, projects))


def _projects(request: _Request) -> tuple[list[NewProject], list[Remark]]:
    """Return the new projects, and the remarks on what they import."""
    projects: list[NewProject] = []
    drafts: list[Draft] = []
    for programs in request.chosen.projects if request.chosen else ((),):
        draft = _begun(request, programs, [each.text("project", "name") or "" for each in drafts])
        projects.append(_completed(request, draft, programs, drafts))
        drafts.append(draft)
    imported = [each for draft in drafts for each in draft.import_remarks]
    return projects, [*(request.chosen.remarks if request.chosen else ()), *imported]


def _left_out(chosen: Selection | None, projects: Sequence[NewProject]) -> tuple[Existing, ...]:
    if chosen is None:
        return ()
    imported = [each for project in projects for programs in project.programs.values() for each in programs]
    found = [each for programs in chosen.projects for each in programs if each not in imported]
    return (*chosen.not_understood, *found)


def _begun(request: _Request, programs: Sequence[Existing], taken: Sequence[str]) -> Draft:
    """Return the draft of a project, with the caller's options, what its programs have in common, and its name.

    `taken` are the names of the projects before it. If its programs have no name in common, it has none yet.
    """
    chosen = request.chosen
    draft = Draft({"project": {}}, is_import=chosen is not None)
    _put_options(draft, **{**request.options, "name": None if taken else request.options["name"]})
    if chosen:
        take_project(draft, programs, chosen.files, has_systemd=runs_systemd(request.root))
        found = free_project_name(programs, chosen.projects[0], taken)
        if found and draft.get("project", "name") is None:
            draft.put("project", "name", found)
            draft.found("name", found, "programs are called NAME-KEY")
    draft.put("project", "backend", BackendName.SUPERVISOR.value)
    return draft


def _completed(request: _Request, draft: Draft, programs: Sequence[Existing], before: Sequence[Draft]) -> NewProject:
    """Return the project of `draft`, completed from its directory, its programs, its app and the host."""
    find_parts(draft, request.directory, request.environment)
    # Imported programs without a directory have nothing to do with the working directory.
    top = (draft.path("directory") or Path("/")) if draft.is_import else request.directory
    name_after_directory(draft, top, [each.text("project", "name") or "" for each in before])
    decide_user(draft, request.scope)
    path = _path(request, draft, len(before))
    tables = _take_programs(request, draft, programs, path)
    ask = partial(ask_app, draft, request.scope, request.timeout, {each.likely_app for each in programs})
    facts = ask() if draft.is_import else ask_with_dotenv(draft, top, ask)
    if facts:
        take_facts(draft, facts, request.scope, request.root)
        suggest_management_url(draft, facts, partial(ask_management, draft))
    _choose_supervisord(request, draft, programs)
    set_systemd_version(draft, request.root)
    set_watcher(draft, request.scope)
    if not draft.is_import:
        mention_running(draft)
    for key in ("name", "app", "directory", "virtualenv"):
        draft.ask_for("project", key, "not found")
    take_out_refused(draft, path or Path.cwd() / FILE, request.environment, tables)
    return _project(draft, path, tables)


def _take_programs(
    request: _Request, draft: Draft, programs: Sequence[Existing], path: Path | None
) -> dict[str, tuple[Existing, ...]]:
    """Give the project its programs, by default one worker, and return which existing ones each table comes from."""
    if request.chosen is None:
        draft.tables["worker.celery"] = {}
        return {}
    tables = take_programs(draft, programs, request.chosen.files)
    share_environment(draft)
    _place_secrets(draft, path)
    return tables


def _path(request: _Request, draft: Draft, number: int) -> Path | None:
    """Return the file of the project: the others are beside the first, with their names in theirs, or in /etc."""
    name = draft.text("project", "name")
    output = default_path(name, request.scope) if request.in_default_place else request.output
    has_own_directory = request.in_default_place and output != Path(FILE)
    if output is None or number == 0 or has_own_directory:
        return output
    return output.with_name(f"{output.stem}-{name or number + 1}{output.suffix}")


def _choose_supervisord(request: _Request, draft: Draft, programs: Sequence[Existing]) -> None:
    if draft.text("project", "backend") != BackendName.SUPERVISOR.value:
        return
    mains = main_files(find_configurations(request.environment, request.root), draft)
    files = [Path(each.source.place) for each in programs if each.source and each.source.scheme == SUPERVISOR]
    reader = _reader(draft, files[0], mains) if files else None
    choose_supervisord(draft, request.scope, mains, request.root, reader)


def _reader(draft: Draft, file: Path, mains: list[MainFile]) -> MainFile | None:
    """Return the supervisord that reads `file`; with none, warn that procman would use its own."""
    mains = [*mains, *main_files(find_configurations_around(file), draft)]
    # The programs may be in supervisord's main file itself.
    found = main_file_of(file, mains) or next((main for main in mains if main.path == file), None)
    if found is None:
        draft.warn(
            f"no supervisord.conf that includes {file} was found, so the programs get a supervisord of procman's own: "
            'to keep the existing one, set mode = "existing" and configuration = PATH in [supervisor]'
        )
    return found


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


def _place_secrets(draft: Draft, path: Path | None) -> None:
    if not draft.secrets:
        return
    names = ", ".join(draft.secrets)
    if path:
        remark = f"With the secrets of the imported programs: {names}."
        draft.put("project", "environment_file", path_beside(path).name, remark)
    else:
        draft.ask_for("project", "environment_file", f"put these variables of the imported programs into it: {names}")


def _project(draft: Draft, path: Path | None, tables: Mapping[str, tuple[Existing, ...]]) -> NewProject:
    return NewProject(
        path=path,
        name=draft.text("project", "name"),
        findings=(*became(tables, draft.text("project", "name") or "NAME"), *draft.findings),
        text=text_of(draft),
        fill_in=tuple(f"{key}: {reason}" for key, reason in draft.fill_in.items()),
        warnings=tuple(draft.warnings),
        secrets=dict(draft.secrets),
        programs=tables,
        backend=BackendName(draft.text("project", "backend") or BackendName.SUPERVISOR),
    )
