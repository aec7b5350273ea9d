"""Render a project for supervisord: sections, start scripts, the launcher, procman's own supervisord and its unit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from procman.backends.supervisor.configuration.main_file import EMBEDDED, embedded_main_file
from procman.backends.supervisor.embedded import check_socket_length
from procman.backends.supervisor.systemd_unit import UNIT
from procman.backends.watcher import STOP_SECONDS, watcher_argv, watcher_name
from procman.config.keys import SUPERVISOR_UNITS
from procman.errors import ProcmanError
from procman.host.unit_names import STOP_MARGIN_SECONDS
from procman.keeper import is_kept, keeper_of, launch_directories, launch_file, run_directories
from procman.launch import group_of, launch_of, launcher_files, marker, outputs_of, owner_of, user_of
from procman.model import Kind, RenderedDirectory, Scope, SupervisorMode
from procman.project import Beat, Program, Project, RenderedFile, Rendering
from procman.templating import Templates

PRIORITIES = {Kind.WORKER: "900", Kind.COMMAND: "910", Kind.BEAT: "920"}
"""supervisord starts the lowest first and stops it last, so that beat sends no tasks while no worker is running."""

NEVER_GIVE_UP = "1000000"
"""`startretries`: with supervisord's default of 3, six seconds without the database end in FATAL for good."""

SHARED = "Written by procman; all its projects here share this supervisord."


def render(project: Project) -> Rendering:
    """Return the directories and files of `project`; reads only the templates and the launcher."""
    templates = Templates(project.templates)
    return Rendering(tuple(_directories(project)), tuple(_files(project, templates)))


def section_path(project: Project, program: str) -> Path:
    """Return the file for the section of `program`, with a name that supervisord's `[include]` matches."""
    pattern = Path(project.supervisor.include)
    return pattern.with_name(pattern.name.replace("*", program))


def script_path(project: Project, program: str) -> Path:
    """Return the path of the start script of `program`."""
    return project.directories.configuration / f"{program}.sh"


def log_path(project: Project, program: str) -> Path:
    """Return the log file of `program`."""
    return project.directories.logs / f"{program}.log"


def _directories(project: Project) -> Iterator[RenderedDirectory]:
    places, root = project.directories, owner_of(project)
    for shared in (places.shared_configuration, places.shared_state):
        yield RenderedDirectory(shared, 0o755, root, root, shared=True)
    if places.library.parent != places.state:  # in user scope, the launcher is in the project's own directory
        yield RenderedDirectory(places.library.parent, 0o755, root, root, shared=True)
    if project.supervisor.mode is SupervisorMode.EMBEDDED:
        yield RenderedDirectory(project.supervisor.configuration.parent, 0o755, root, root, shared=True)
        yield RenderedDirectory(Path(project.supervisor.include).parent, 0o755, root, root, shared=True)
        yield RenderedDirectory(places.shared_state / EMBEDDED, 0o700, root, root, shared=True)
    for own in (places.configuration, places.state, places.library, places.logs, places.state / "run"):
        yield RenderedDirectory(own, 0o755, root, root)
    yield from launch_directories(project)
    for program in project.programs:
        # Owned by the program's user, because the program keeps its lock there.
        user, group = user_of(project, program), group_of(project, program)
        for path in run_directories(project, program):
            yield RenderedDirectory(path, 0o755, user, group)
        if isinstance(program.options, Beat) and program.options.schedule_file:
            yield RenderedDirectory(program.options.schedule_file.parent, 0o750, project.user, project.group)


def _files(project: Project, templates: Templates) -> Iterator[RenderedFile]:
    if project.supervisor.mode is SupervisorMode.EMBEDDED:
        yield _supervisord(project, templates)
        if project.supervisor.supervisord:
            yield _unit(project, project.supervisor.supervisord, templates)
            yield _wishes(project, templates)
    if (unit := ordered_unit(project)) and project.after:
        yield _order(project, unit, templates)
    yield from launcher_files(project)
    for program in project.programs:
        if is_kept(program):
            yield launch_file(project, program)
        yield _script(project, program, templates)
        yield _section(project, program, templates)
    watcher = watcher_argv(project)
    if watcher:
        yield _watcher(project, watcher, templates)


def _script(project: Project, program: Program, templates: Templates) -> RenderedFile:
    launch, owner = keeper_of(project, program), owner_of(project)
    path = script_path(project, program.name)
    values = {
        "marker": marker(project),
        "program": program,
        "path": path,
        "user": launch.user,
        "group": launch.group,
        "environment": launch.environment.items(),
        "directory": launch.directory,
        "umask": f"{launch.umask:03o}",
        "launcher": program.launcher,
        "argv": launch.argv,
    }
    text = templates.render("supervisor/start.sh.j2", values)
    return RenderedFile(path, text, 0o755, owner, owner, (program.name,))


def _section(project: Project, program: Program, templates: Templates) -> RenderedFile:
    launch, owner = launch_of(project, program), owner_of(project)
    output = outputs_of(program, log_path(project, program.name))
    options = dict(program.supervisor_options)
    values = {
        "marker": marker(project),
        "program": program,
        "command": (str(script_path(project, program.name)),),
        # With a group, the script sets both.
        "user": None if launch.group else launch.user,
        "group": launch.group,
        "autostart": str(program.autostart).lower(),
        "priority": options.pop("priority", PRIORITIES[program.kind]),
        "startretries": options.pop("startretries", NEVER_GIVE_UP),
        "is_command": program.kind is Kind.COMMAND,
        "stop_signal": getattr(program.options, "stop_signal", "TERM"),
        "stop_group": options.pop("stopasgroup", "false"),
        "output": output,
        # For an administrator's own template of an earlier procman.
        "log_file": output.stdout.path if output.stdout else None,
        "redirect": str(output.stderr is None).lower(),
        "options": options.items(),
    }
    text = templates.render("supervisor/program.conf.j2", values)
    return RenderedFile(section_path(project, program.name), text, 0o644, owner, owner, (program.name,), section=True)


def _watcher(project: Project, argv: tuple[str, ...], templates: Templates) -> RenderedFile:
    """Return the section of the watcher, an event listener."""
    owner, name = owner_of(project), watcher_name(project)
    values = {
        "marker": marker(project),
        "name": name,
        "interval": project.health.interval_seconds,
        "command": argv,
        "startretries": NEVER_GIVE_UP,
        "stop_timeout": STOP_SECONDS,
        "log_file": log_path(project, name),
    }
    text = templates.render("supervisor/health.conf.j2", values)
    return RenderedFile(section_path(project, name), text, 0o644, owner, owner, (name,), section=True)


def _supervisord(project: Project, templates: Templates) -> RenderedFile:
    owner = owner_of(project)
    main = embedded_main_file(project.supervisor.configuration, project.directories.shared_state)
    check_socket_length(main.address)
    _check_pattern(project.supervisor.configuration.parent)
    values = {
        "marker": SHARED,
        "configuration": project.supervisor.configuration,
        "directory": project.directories.shared_state / EMBEDDED,
        "log_file": main.log_file,
        "pid_file": main.pid_file,
        "socket": main.address,
        "url": f"unix://{main.address}",
        "user": owner,
    }
    text = templates.render("supervisor/supervisord.conf.j2", values)
    return RenderedFile(project.supervisor.configuration, text, 0o644, owner, owner, (), restarts=False, shared=True)


def _unit(project: Project, supervisord: Path, templates: Templates) -> RenderedFile:
    owner, is_system = owner_of(project), project.scope is Scope.SYSTEM
    own = ("-c", str(project.supervisor.configuration))
    values = {
        "marker": SHARED,
        "unit": UNIT,
        "systemctl": "systemctl" if is_system else "systemctl --user",
        # A user's systemd has no network-online.target.
        "after": ["network-online.target"] if is_system else [],
        "start": (str(supervisord), "--nodaemon", *own),
        "stop": (str(supervisord.with_name("supervisorctl")), *own, "stop", "all"),
        "wanted_by": ["multi-user.target" if is_system else "default.target"],
    }
    text = templates.render("supervisor/supervisord.service.j2", values)
    path = project.directories.units / UNIT
    return RenderedFile(path, text, 0o644, owner, owner, (), restarts=False, section=True, shared=True)


def _wishes(project: Project, templates: Templates) -> RenderedFile:
    """Return the drop-in with the settings that one project needs; systemd merges the drop-ins of all projects."""
    owner = owner_of(project)
    seconds = STOP_MARGIN_SECONDS + max(program.stop_timeout_seconds for program in project.programs)
    values = {
        "marker": marker(project),
        "after": project.after if project.scope is Scope.SYSTEM else [],
        "stop_timeout": seconds,
    }
    text = templates.render("supervisor/supervisord.project.conf.j2", values)
    path = project.directories.units / f"{UNIT}.d" / f"{seconds:06}-{project.name}.conf"
    return RenderedFile(path, text, 0o644, owner, owner, (), restarts=False, section=True)


def ordered_unit(project: Project) -> str | None:
    """Return the unit, not managed by procman, that a drop-in of `project` orders after the units in `after`."""
    own, settings = project.scope is Scope.USER, project.supervisor
    is_ordered = settings.mode is SupervisorMode.EXISTING and settings.extend_stop_timeout and not own
    return SUPERVISOR_UNITS.get(str(settings.configuration)) if is_ordered else None


def _order(project: Project, unit: str, templates: Templates) -> RenderedFile:
    """Return the drop-in that orders the unit of an existing supervisord; systemd merges those of all projects."""
    owner = owner_of(project)
    text = templates.render("supervisor/after.conf.j2", {"marker": marker(project), "after": project.after})
    path = project.directories.units / f"{unit}.d" / f"procman-{project.name}.conf"
    return RenderedFile(path, text, 0o644, owner, owner, (), restarts=False, section=True)


def _check_pattern(directory: Path) -> None:
    # supervisord prepends this directory to the patterns in `[include]` and matches the whole path.
    if re.search(r"[*?\[]", str(directory)):
        raise ProcmanError(
            f"{directory}: supervisord treats *, ? and [ as a pattern and would find no programs there",
            hint="Set XDG_CONFIG_HOME to a directory without these characters.",
        )
