"""Render a project for systemd: a unit per program, a target for all of them, and the launcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.backends.systemd import sandbox
from procman.backends.systemd.watcher_timer import timer_name, watcher_files
from procman.backends.watcher import watcher_argv, watcher_name
from procman.config.systemd_directives import KNOWN
from procman.host.unit_names import stop_timeout_seconds, target_name, unit_name
from procman.keeper import is_kept, keeper_of, launch_directories, launch_file, request_of, run_directories
from procman.launch import (
    environment_file_of,
    group_of,
    launcher_files,
    marker,
    outputs_of,
    owner_of,
    user_of,
)
from procman.model import Kind, RenderedDirectory, Scope
from procman.project import Beat, Command, Launch, Program, Project, RenderedFile, Rendering, SystemdLog, Worker
from procman.templating import Templates

ENV = "/usr/bin/env"
"""Finds a command in the PATH of the unit and executes it: systemd itself would search only its own PATH."""

CREDENTIAL = "environment"

INSTALL, RM = "/usr/bin/install", "/bin/rm"
"""Run as root, and so never searched for in the PATH of the unit."""

NETWORK = "network-online.target"
"""Reached only if a unit wants it (systemd.special(7)), unlike the units in `after`, which start on their own."""

STATE_ROOT = Path("/var/lib")
"""The directory that `StateDirectory=` is relative to in system scope."""


def render(project: Project) -> Rendering:
    """Return the directories and files of `project`; reads only the templates and the launcher."""
    templates = Templates(project.templates)
    return Rendering(tuple(_directories(project)), tuple(_files(project, templates)))


def log_path(project: Project, program: str) -> Path | None:
    """Return the log file of `program`; None if the log is in the journal."""
    return project.directories.logs / f"{program}.log" if project.systemd.log is SystemdLog.FILE else None


def _directories(project: Project) -> Iterator[RenderedDirectory]:
    places, root, system = project.directories, owner_of(project), project.scope is Scope.SYSTEM
    yield RenderedDirectory(places.shared_state, 0o755, root, root, shared=True)
    if system:
        yield RenderedDirectory(places.library.parent, 0o755, root, root, shared=True)
    else:
        yield RenderedDirectory(places.units.parent, 0o755, root, root, shared=True)
        yield RenderedDirectory(places.units, 0o755, root, root, shared=True)
    for own in (places.state, places.library, places.state / "run"):
        yield RenderedDirectory(own, 0o755, root, root)
    yield from launch_directories(project)
    if system or project.systemd.log is SystemdLog.FILE:
        # Owned by root, because systemd opens log files in it as root; each program owns only a directory below it.
        yield RenderedDirectory(places.logs, 0o755, root, root)
    for program in project.programs:
        user, group = user_of(project, program), group_of(project, program)
        for path in run_directories(project, program):
            yield RenderedDirectory(path, 0o755, user, group)
        if system:
            yield RenderedDirectory(places.logs / program.name, 0o750, user, group)
        if isinstance(program.options, Beat) and program.options.schedule_file:
            yield RenderedDirectory(program.options.schedule_file.parent, 0o750, project.user, project.group)


def _files(project: Project, templates: Templates) -> Iterator[RenderedFile]:
    yield from launcher_files(project)
    for program in project.programs:
        if is_kept(program):
            yield launch_file(project, program, _environment_copy(project, program))
        yield _unit(project, program, templates)
    yield from watcher_files(project, templates)
    yield _target(project, templates)
    if project.scope is Scope.SYSTEM and (logs := _logs(project)):
        yield _rotation(project, logs, templates)


def _unit(project: Project, program: Program, templates: Templates) -> RenderedFile:
    launch, owner, name = keeper_of(project, program), owner_of(project), unit_name(program.name)
    copy = _environment_copy(project, program)
    by_credential = _has_credential(project, program, launch)
    values = {
        "marker": marker(project),
        "unit": name,
        "systemctl": "systemctl" if project.scope is Scope.SYSTEM else "systemctl --user",
        "target": target_name(project.name),
        "description": _description(project, program),
        "after": [NETWORK, *project.after] if project.scope is Scope.SYSTEM else [],
        "wants": [NETWORK],
        "before": [] if program.kind is Kind.BEAT else [unit_name(f"{project.name}-celery-beat")],
        "program": program,
        "launch": launch,
        "umask": f"{launch.umask:04o}",
        "environment": (launch.environment if is_kept(program) else _environment(launch, by_credential)).items(),
        "overlaps": is_kept(program),
        "copy": _copy(launch, copy) if copy else (),
        "removal": (RM, "-f", copy) if copy else (),
        "reads_environment_file": launch.environment_file is not None and not is_kept(program),
        "credential": CREDENTIAL if by_credential else None,
        "argv": _argv(project, program, launch),
        "reload": request_of(project) if is_kept(program) else _reload(program),
        "directories": _own_directories(project, program).items(),
        "output": outputs_of(program, log_path(project, program.name)),
        # For an administrator's own template of an earlier procman.
        "log_file": log_path(project, program.name),
        "growing": _knows(project, "RestartSteps"),
        **_of_command(project, program),
        "notifies": program.launcher and program.kind is not Kind.COMMAND,
        "watchdog": project.health.watchdog_seconds if program.heal else None,
        "stop_timeout": stop_timeout_seconds(program),
        "abort": _knows(project, "TimeoutAbortSec"),
        "limits": _limits(program).items(),
        "sandbox": sandbox.blocks(project, program),
        "left_out": sandbox.left_out(project) if project.scope is Scope.USER else [],
    }
    text = templates.render("systemd/program.service.j2", values)
    path = project.directories.units / name
    return RenderedFile(path, text, 0o644, owner, owner, (program.name,), section=True)


def _of_command(project: Project, program: Program) -> dict[str, object]:
    """Return the values that only a command may set; a worker or beat has the defaults."""
    directives = program.systemd_directives
    return {
        "is_command": program.kind is Kind.COMMAND,
        "type": _last(directives.get("Type"), "exec"),
        "kill_mode": _last(directives.get("KillMode"), "mixed"),
        "stop_signal": getattr(program.options, "stop_signal", "TERM"),
        "oom_policy": _last(directives.get("OOMPolicy"), "continue") if _knows(project, "OOMPolicy") else None,
    }


def _environment_copy(project: Project, program: Program) -> str | None:
    """Return the copy of the environment file that systemd makes for each process of an overlapping worker.

    What LoadCredential= passes stays as it was when the unit started. In user scope the program can read the file.
    """
    has_file = environment_file_of(project, program) is not None and is_kept(program)
    return f"/run/{program.name}.environment" if has_file and project.scope is Scope.SYSTEM else None


def _copy(launch: Launch, copy: str) -> tuple[str, ...]:
    return INSTALL, "-o", launch.user or "root", "-m", "0400", str(launch.environment_file), copy


def _last(values: tuple[str, ...] | None, default: str) -> str:
    """Return the last of the `values` of a directive, which is the one that counts."""
    return values[-1] if values else default


def _target(project: Project, templates: Templates) -> RenderedFile:
    # The target, not the units, decides what starts at boot, so that a change of autostart restarts nothing. It also
    # keeps stopped units in systemd's memory; otherwise systemd would forget that they were stopped on purpose (R11).
    owner, name = owner_of(project), target_name(project.name)
    values = {
        "marker": marker(project),
        "description": f"Celery of {project.name}",
        "wants": [
            *(unit_name(program.name) for program in project.programs if program.autostart),
            *([timer_name(project)] if watcher_argv(project) else []),
        ],
        "wanted_by": ["multi-user.target" if project.scope is Scope.SYSTEM else "default.target"],
    }
    text = templates.render("systemd/project.target.j2", values)
    watcher = (watcher_name(project),) if watcher_argv(project) else ()
    programs = (*(program.name for program in project.programs), *watcher)
    path = project.directories.units / name
    return RenderedFile(path, text, 0o644, owner, owner, programs, restarts=False, section=True)


def _logs(project: Project) -> list[tuple[Path, Program]]:
    return [
        (file, program)
        for program in project.programs
        for file in outputs_of(program, log_path(project, program.name)).files
    ]


def _rotation(project: Project, logs: list[tuple[Path, Program]], templates: Templates) -> RenderedFile:
    text = templates.render("systemd/logrotate.j2", {"marker": marker(project), "logs": logs})
    programs = tuple(dict.fromkeys(program.name for _, program in logs))
    path = Path("/etc/logrotate.d") / f"procman-{project.name}"
    return RenderedFile(path, text, 0o644, owner_of(project), owner_of(project), programs, restarts=False)


def _description(project: Project, program: Program) -> str:
    match program.kind:
        case Kind.WORKER:
            return f"Celery worker {program.name}"
        case Kind.BEAT:
            return f"Celery beat of {project.name}"
        case Kind.COMMAND:
            return f"{program.name}, a command of {project.name}"
        case Kind.HEALTH:
            raise ValueError(f"{program.name} is not a program of procman.toml")


def _argv(project: Project, program: Program, launch: Launch) -> tuple[str, ...]:
    first, *rest = launch.argv
    if first.startswith("/"):
        return launch.argv
    if not isinstance(program.options, Command) and not program.wrapper:
        return (str(project.virtualenv / "bin" / first), *rest)
    return (ENV, *launch.argv)


def _reload(program: Program) -> tuple[str, ...]:
    """Return the words of `ExecReload=`, which systemd runs as the program's user with its environment; else none."""
    options = program.options
    if not isinstance(options, Command):
        return ()
    if options.reload_command:
        return (ENV, *options.reload_command)
    if options.reload_signal:
        # The shell's own kill: the command needs a package that a minimal host does not have.
        return ("/bin/sh", "-c", f'kill -s {options.reload_signal} "$MAINPID"')
    return ()


def _has_credential(project: Project, program: Program, launch: Launch) -> bool:
    """Return whether the launcher reads a copy of the environment file that systemd makes.

    A reload command could not read it: in a sandbox, systemd 252 hides the copies from all but the main process.
    """
    has_reload_command = isinstance(program.options, Command) and program.options.reload_command
    has_reader = program.launcher and launch.environment_file is not None and not is_kept(program)
    return has_reader and not has_reload_command and _knows(project, "LoadCredential")


def _environment(launch: Launch, by_credential: bool) -> dict[str, str]:
    environment = dict(launch.environment)
    if by_credential:
        # The launcher reads the copy that systemd makes; PROCMAN_ENVIRONMENT_FILE is kept for its messages.
        environment["PROCMAN_ENVIRONMENT_CREDENTIAL"] = CREDENTIAL
    else:
        # systemd reads the file itself, even for a program without the launcher.
        environment.pop("PROCMAN_ENVIRONMENT_FILE", None)
    return environment


def _own_directories(project: Project, program: Program) -> dict[str, str]:
    below = f"{project.name}/{program.name}"
    if project.scope is Scope.USER:
        return {"RuntimeDirectory": below}
    states = [str(path.relative_to(STATE_ROOT)) for path in run_directories(project, program)]
    return {
        "StateDirectory": " ".join(states),
        "LogsDirectory": below,
        "LogsDirectoryMode": "0750",
        "RuntimeDirectory": below,
    }


def _limits(program: Program) -> dict[str, str]:
    # Each process of an overlapping worker may use as much as a worker without overlap.
    times = program.options.overlap_max + 1 if isinstance(program.options, Worker) and program.options.overlap else 1
    limits = {
        "MemoryHigh": f"{program.memory_high_mib * times}M" if program.memory_high_mib else None,
        "MemoryMax": f"{program.memory_max_mib * times}M" if program.memory_max_mib else None,
        "CPUWeight": program.cpu_weight,
        "TasksMax": program.tasks_max * times if program.tasks_max else None,
    }
    return {name: str(value) for name, value in limits.items() if value is not None}


def _knows(project: Project, directive: str) -> bool:
    return KNOWN[directive].since <= project.systemd.minimum_version
